package node

import (
	"context"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/placement/gossip"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// steadySlack makes up for the moment between a node serving and gossip saying
// so, which etcd's own count does not have.
const steadySlack = 700 * time.Millisecond

// attendance tells since when other nodes are there.
type attendance struct {
	node *Node

	mu    sync.Mutex
	since map[proto.NodeID]time.Time
}

// saw notes what gossip says of a node.
func (a *attendance) saw(id proto.NodeID, state gossip.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if state != gossip.Live {
		delete(a.since, id)
	} else if _, there := a.since[id]; !there {
		a.since[id] = time.Now()
	}
}

// Live implements members.Observer.
func (a *attendance) Live(id proto.NodeID) bool {
	if id == a.node.members.Self {
		return true
	}
	m, ok := a.node.gossip.Member(id)
	return ok && m.State == gossip.Live
}

// Stopping implements driver.Liveness.
func (a *attendance) Stopping(id proto.NodeID) bool {
	if id == a.node.members.Self {
		return a.node.goodbye.Load()
	}
	m, _ := a.node.gossip.Member(id)
	return m.Meta.Leaving
}

// Steady implements members.Observer.
func (a *attendance) Steady(id proto.NodeID) bool {
	if id == a.node.members.Self {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	since, there := a.since[id]
	return there && time.Since(since) >= members.HealthInterval-steadySlack
}

// Held implements members.Observer.
func (a *attendance) Held(ctx context.Context, id proto.NodeID) (int64, error) {
	if id == a.node.members.Self {
		held, _ := a.node.store.Count()
		return held, nil
	}
	conn, err := a.node.peers.Conn(id)
	if err != nil {
		return 0, err
	}
	r, err := pontoonpb.NewPeerClient(conn).Report(ctx, &pontoonpb.ReportRequest{ClusterId: a.node.members.ID})
	return r.GetReplicas(), err
}
