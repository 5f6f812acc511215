package members

import (
	"context"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// holdings counts the replicas a node has, as the ranges tell.
func holdings(ranges []*pontoonpb.Descriptor, id proto.NodeID) (n int) {
	for _, d := range ranges {
		for _, r := range d.Replicas {
			if r.NodeId == uint64(id) {
				n++
			}
		}
	}
	return n
}

// orphan returns a range that would have no quorum of live replicas without
// the node, nil if there is none (M4). A range between two configurations needs
// both.
func orphan(ranges []*pontoonpb.Descriptor, id proto.NodeID, live func(proto.NodeID) bool) *pontoonpb.Descriptor {
	for _, d := range ranges {
		var before, after tally
		named := false
		for _, r := range d.Replicas {
			node := proto.NodeID(r.NodeId)
			named = named || node == id
			up := node != id && live(node)
			switch r.Role {
			case pontoonpb.ReplicaRole_REPLICA_VOTER:
				before.count(up)
				after.count(up)
			case pontoonpb.ReplicaRole_REPLICA_OUTGOING:
				before.count(up)
			case pontoonpb.ReplicaRole_REPLICA_INCOMING:
				after.count(up)
			}
		}
		if named && !(before.quorum() && after.quorum()) {
			return d
		}
	}
	return nil
}

type tally struct{ all, up int }

func (t *tally) count(up bool) {
	t.all++
	if up {
		t.up++
	}
}

func (t *tally) quorum() bool { return t.up >= t.all/2+1 }

// held returns how many replicas a node has: what the directory says of it, or
// what it says itself, whichever is more. The directory follows the ranges.
func (m *Members) held(ctx context.Context, id proto.NodeID) (int, error) {
	ranges, err := m.opts.Ranges.All(ctx)
	if err != nil {
		return 0, err
	}
	n := holdings(ranges, id)
	if m.opts.Observer.Live(id) {
		own, err := m.opts.Observer.Held(ctx, id)
		if err != nil {
			return 0, fmt.Errorf("node %x does not say what it holds: %w", uint64(id), err)
		}
		n = max(n, int(own))
	}
	return n, nil
}

// quorate returns an error naming a range that would be without a quorum.
func (m *Members) quorate(ctx context.Context, id proto.NodeID) error {
	ranges, err := m.opts.Ranges.All(ctx)
	if err != nil {
		return err
	}
	if d := orphan(ranges, id, m.opts.Observer.Live); d != nil {
		return refused("range %d has no quorum of live replicas without that node", d.RangeId)
	}
	return nil
}
