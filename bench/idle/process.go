package idle

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/proc"
)

// readAll returns what every node has used.
func readAll(c *cluster.Cluster) ([]proc.Process, error) {
	var all []proc.Process
	for _, n := range c.Nodes() {
		p, err := proc.Read(n.Pid())
		if err != nil {
			return nil, fmt.Errorf("usage of %s: %w", n.Name, err)
		}
		all = append(all, p)
	}
	return all, nil
}
