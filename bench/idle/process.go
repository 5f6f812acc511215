package idle

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/measure"
)

// readAll returns what every node has used.
func readAll(c *cluster.Cluster) ([]measure.Process, error) {
	var all []measure.Process
	for _, n := range c.Nodes() {
		p, err := measure.ReadProcess(n.Pid())
		if err != nil {
			return nil, fmt.Errorf("usage of %s: %w", n.Name, err)
		}
		all = append(all, p)
	}
	return all, nil
}
