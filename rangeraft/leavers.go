package rangeraft

import (
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// leavers are the nodes that said that they stop.
type leavers struct {
	mu    sync.Mutex
	nodes map[proto.NodeID]struct{}
}

// note reports whether that is news.
func (l *leavers) note(node proto.NodeID, leaving bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.nodes[node]; known == leaving {
		return false
	}
	if !leaving {
		delete(l.nodes, node)
		return true
	}
	if l.nodes == nil {
		l.nodes = map[proto.NodeID]struct{}{}
	}
	l.nodes[node] = struct{}{}
	return true
}

// of lists the replicas of a range on such nodes.
func (l *leavers) of(d *pontoonpb.Descriptor) (ids []proto.ReplicaID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.nodes) == 0 {
		return nil
	}
	for _, rep := range d.GetReplicas() {
		if _, leaving := l.nodes[proto.NodeID(rep.NodeId)]; leaving {
			ids = append(ids, proto.ReplicaID(rep.ReplicaId))
		}
	}
	return ids
}

// NodeLeaving tells the leaders here that a node said it stops, or that it is
// back: leader leases do not last on what a leaving node acknowledges, so that a
// leader without a quorum notices at once. A range that sleeps notices when
// the beats of the node pair end.
func (s *Store) NodeLeaving(node proto.NodeID, leaving bool) {
	if !s.leavers.note(node, leaving) {
		return
	}
	for _, r := range s.sleepers.ticking() {
		r.post(func() {
			r.lease.SetLeaving(s.leavers.of(r.desc.Load()))
			if r.leading {
				r.leaseRenewed()
			}
		})
	}
}
