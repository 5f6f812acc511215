package robust

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// nemesis does harm to a cluster, one fault at a time, and heals it.
type nemesis struct {
	c      *cluster.Cluster
	deck   *deck         // of the whole run
	steer  *steer.Client // nil for etcd
	rng    *rand.Rand
	every  time.Duration
	keys   int
	logger *slog.Logger

	mu     sync.Mutex
	faults map[string]int
}

// loop does harm until ctx ends and leaves every node running.
func (n *nemesis) loop(ctx context.Context) error {
	for {
		wait := time.Duration((0.5 + n.rng.Float64()) * float64(n.every))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		// A fault is carried through also when the load ends meanwhile.
		if err := n.deck.deal().do(n, context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

func (n *nemesis) note(fault string, victims ...*cluster.Node) {
	n.mu.Lock()
	n.faults[fault]++
	n.mu.Unlock()
	for _, v := range victims {
		n.logger.Info("fault", "fault", fault, "node", v.Name)
	}
}

// healed waits until every node serves again: a node that does not come back is
// a failure of its own.
func (n *nemesis) healed(ctx context.Context) error {
	if err := n.c.WaitReady(ctx); err != nil {
		return errors.Join(errors.New("the cluster did not heal"), err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// victim is any node.
func (n *nemesis) victim() *cluster.Node {
	nodes := n.c.Nodes()
	return nodes[n.rng.IntN(len(nodes))]
}

// some are so many nodes, whichever.
func (n *nemesis) some(count int) (list []*cluster.Node) {
	nodes := n.c.Nodes()
	for _, i := range n.rng.Perm(len(nodes))[:count] {
		list = append(list, nodes[i])
	}
	return list
}

// sequencer is the node that leads etcd's group, or Pontoon's root range; any node
// if nobody says.
func (n *nemesis) sequencer(ctx context.Context) *cluster.Node {
	if leader, err := n.c.Leader(ctx); err == nil {
		return leader
	}
	return n.victim()
}

// between draws a time.
func (n *nemesis) between(low, high time.Duration) time.Duration {
	return low + time.Duration(n.rng.Int64N(int64(high-low)))
}

// down is how long a node stays away.
func (n *nemesis) down() time.Duration { return n.between(200*time.Millisecond, 2*time.Second) }
