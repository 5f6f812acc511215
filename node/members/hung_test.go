package members

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// house is a cluster of three as Settle sees it.
type house struct {
	records []*pontoonpb.NodeRecord
	ranges  []*pontoonpb.Descriptor
	dead    proto.NodeID
}

func (h *house) Nodes(context.Context) ([]*pontoonpb.NodeRecord, error) { return h.records, nil }

func (h *house) Decide(_ context.Context, fn func([]*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error)) (*pontoonpb.NodeRecord, error) {
	next, err := fn(h.records)
	if next == nil || err != nil {
		return nil, err
	}
	next.Revision++
	for i, r := range h.records {
		if r.NodeId == next.NodeId {
			h.records[i] = next
		}
	}
	return next, nil
}

func (h *house) All(context.Context) ([]*pontoonpb.Descriptor, error) { return h.ranges, nil }

func (h *house) Live(id proto.NodeID) bool                         { return id != h.dead }
func (h *house) Steady(id proto.NodeID) bool                       { return id != h.dead }
func (h *house) Held(context.Context, proto.NodeID) (int64, error) { return 0, nil }

func (h *house) state(id uint64) pontoonpb.NodeState { return Find(h.records, proto.NodeID(id)).State }

func (h *house) on(nodes ...uint64) {
	d := &pontoonpb.Descriptor{RangeId: 3}
	for _, n := range nodes {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: n, ReplicaId: n})
	}
	h.ranges = []*pontoonpb.Descriptor{d}
}

// A leaving member that answers but does not take its leave is removed without
// it, once it has been empty for a while; never while a range is on it.
func TestHungMemberIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{records: three()}
		leaving := clone(h.records[1])
		leaving.State, leaving.Leaving = pontoonpb.NodeState_NODE_DRAINING, true
		h.records[1] = leaving
		h.on(1, 2, 3)
		m := New(Options{
			Cache:   NewCache(CacheOptions{OnChange: func([]*pontoonpb.NodeRecord) {}}, h.records),
			Records: h, Ranges: h, Observer: h, Logger: slog.New(slog.DiscardHandler),
		})
		settle := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				m.Settle(t.Context())
			}
		}
		removed := pontoonpb.NodeState_NODE_REMOVED
		if settle(time.Hour); h.state(2) == removed {
			t.Fatal("removed with a replica")
		}
		h.on(1, 3)
		settle(hungAfter / 2)
		h.on(1, 2, 3) // a move to it had been under way
		settle(hungAfter)
		h.on(1, 3)
		if settle(hungAfter); h.state(2) == removed {
			t.Fatal("removed before its time")
		}
		if settle(3 * time.Second); h.state(2) != removed || h.state(1) == removed || h.state(3) == removed {
			t.Errorf("after a while: %v", h.records)
		}
	})
}

// Who dies while it leaves is removed at once if no range needs it.
func TestDeadLeavingMemberIsRemoved(t *testing.T) {
	h := &house{records: three(), dead: 2}
	h.records[1] = clone(h.records[1])
	h.records[1].State, h.records[1].Leaving = pontoonpb.NodeState_NODE_DRAINING, true
	h.on(1, 2, 3)
	m := New(Options{
		Cache:   NewCache(CacheOptions{OnChange: func([]*pontoonpb.NodeRecord) {}}, h.records),
		Records: h, Ranges: h, Observer: h, Logger: slog.New(slog.DiscardHandler),
	})
	m.Settle(t.Context())
	if h.state(2) != pontoonpb.NodeState_NODE_REMOVED {
		t.Error(h.records)
	}
}
