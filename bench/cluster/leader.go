package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/dial"
)

// Leader returns the node that the cluster names as its leader: of etcd's one
// group, of Pontoon's root range.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var last error
	for _, n := range c.Nodes() {
		if !n.Running() {
			continue
		}
		member, leader, err := status(ctx, n.Endpoint)
		if err != nil {
			last = err
			continue
		}
		if member == leader {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node says it leads (last error: %v)", last)
}

func status(ctx context.Context, endpoint string) (member, leader uint64, err error) {
	client, err := dial.Open(dial.Options{Endpoints: []string{endpoint}})
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	resp, err := client.Status(ctx, endpoint)
	if err != nil {
		return 0, 0, err
	}
	return resp.Header.MemberId, resp.Leader, nil
}
