package sim

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/steer"
	enginekeys "github.com/pontoon-kv/pontoon/storage/keys"
)

// handedOn proves of a cluster at rest that a lease takes its keys along wherever
// they go: to a node that got the range as a snapshot and leads it, if there is a
// node without a replica.
func (out *Outcome) handedOn(ctx context.Context, c *cluster, client *clientv3.Client) error {
	lease, err := client.Grant(ctx, 120)
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	for _, key := range restKeys {
		if _, err := client.Put(ctx, key, "x", clientv3.WithLease(lease.ID)); err != nil {
			return fmt.Errorf("put: %w", err)
		}
	}
	ranges, err := c.steer.Ranges(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	nodes, err := c.steer.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, r := range ranges {
		if slices.ContainsFunc(restKeys, func(key string) bool { return holds(r, enginekeys.User([]byte(key))) }) && handOn(ctx, c.steer, r, nodes) {
			out.Done["handed on"]++
		}
	}
	if _, err := client.Revoke(ctx, lease.ID); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	for _, key := range restKeys {
		got, err := client.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if len(got.Kvs) > 0 {
			return fmt.Errorf("%q is there at revision %d after lease %x was revoked", key, got.Header.Revision, lease.ID)
		}
	}
	return nil
}

// handOn gives a range to a node without a replica and has it lead; false: it did
// not. Placement may be about to do something else.
func handOn(ctx context.Context, s *steer.Client, r steer.Range, nodes []steer.Node) bool {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	for _, to := range nodes {
		if to.State != "live" || r.Has(to.ID) {
			continue
		}
		from := r.Voters[0]
		if from == r.Leader {
			from = r.Voters[len(r.Voters)-1]
		}
		if _, err := s.Move(ctx, r.ID, from, to.ID); err != nil {
			return false
		}
		return poll(ctx, func() error { return s.TransferLeader(ctx, r.ID, to.ID) }) == nil
	}
	return false
}
