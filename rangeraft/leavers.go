package rangeraft

import (
	"sync"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// leavers are the nodes that said that they stop, and those that may be gone.
type leavers struct {
	mu      sync.Mutex
	nodes   map[proto.NodeID]struct{}
	suspect map[proto.NodeID]struct{}
}

// suspected notes whether a node may be gone.
func (l *leavers) suspected(node proto.NodeID, may bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !may:
		delete(l.suspect, node)
	case l.suspect == nil:
		l.suspect = map[proto.NodeID]struct{}{node: {}}
	default:
		l.suspect[node] = struct{}{}
	}
}

func (l *leavers) stops(node proto.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, leaving := l.nodes[node]
	return leaving
}

func (l *leavers) mayBeGone(node proto.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, suspect := l.suspect[node]
	return suspect
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

// unfit says why a node cannot take a leadership over, as far as is known; "": it
// can. Who waits for it to do so waits in vain.
func (s *Store) unfit(node proto.NodeID) string {
	switch {
	case s.leavers.stops(node):
		return "is stopping"
	case s.leavers.mayBeGone(node), s.transport.Broken(node):
		return "does not answer"
	}
	return ""
}
