package rangeraft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func counted(t *testing.T, c prometheus.Counter) float64 {
	m := &dto.Metric{}
	if err := c.Write(m); err != nil {
		t.Fatal(err)
	}
	return m.Counter.GetValue()
}

// learnerProgress is what the leader reports of a node.
func (c *cluster) learnerProgress(node proto.NodeID) *pontoonpb.ReplicaProgress {
	for _, p := range c.leader(proto.UserRange).store.replica(proto.UserRange).status().Progress {
		if p.NodeId == uint64(node) {
			return p
		}
	}
	return &pontoonpb.ReplicaProgress{}
}

// fill puts n values of 8 KiB that do not compress.
func (c *cluster) fill(n int) {
	c.t.Helper()
	value := make([]byte, 8<<10)
	rng := rand.NewChaCha8([32]byte{})
	for i := range n {
		rng.Read(value)
		c.put(fmt.Sprint("k", i), string(value))
	}
}

// P47: a raft snapshot that breaks off goes on where it did, and what comes in
// the end is the whole range as the sender's view had it.
func TestSnapshotGoesOnWhereItBroke_P47(t *testing.T) {
	c := newClusterOf(t, 1, 2, func(o *Options) { o.SnapshotBytesPerSecond = 1 << 20 })
	c.fill(200)
	c.mustChange(proto.UserRange, step(addLearner, 2))
	for part := int64(1); part <= 2; part++ {
		c.wait("a part is sent", func() bool {
			p := c.learnerProgress(2)
			return p.Snapshot && p.SnapshotBytes > part*400<<10
		})
		c.isolate(2, true)
		c.put(fmt.Sprint("while cut off ", part), "v")
		c.isolate(2, false)
	}
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, 2))
	if n := counted(t, c.nodes[2].store.metrics.snapshotsResumed); n < 1 {
		t.Errorf("%v streams went on with what was there", n)
	}
	m := c.nodes[1].store.metrics.snapshotsSent
	if failed := counted(t, m.WithLabelValues("failed")); failed > 0 {
		t.Errorf("%v snapshots were given up", failed)
	}
	c.wait("both have applied the same", func() bool {
		a, b := c.nodes[1].checksum(3), c.nodes[2].checksum(3)
		if a.Index == b.Index && a.Sum != b.Sum {
			t.Fatalf("at index %d the checksums are %x and %x", a.Index, a.Sum, b.Sum)
		}
		return a.Index == b.Index
	})
}

// What was staged for a sender that does not come back makes room for another
// one.
func TestAbandonedSessionMakesRoom(t *testing.T) {
	c := newClusterOf(t, 1, 2, func(o *Options) { o.SnapshotBytesPerSecond = 1 << 20 })
	c.put("a", "1")
	d := c.descriptor(proto.UserRange)
	s := c.nodes[2].store.sessions
	first, err := s.begin(&pontoonpb.SnapshotHeader{Desc: d, Session: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.begin(&pontoonpb.SnapshotHeader{Desc: d, Session: 2}); err == nil {
		t.Fatal("two streams at a time")
	}
	s.pause(proto.UserRange, first)
	if _, err := s.begin(&pontoonpb.SnapshotHeader{Desc: d, Session: 2, Offset: 5}); err == nil {
		t.Fatal("went on with another sender's")
	}
	second, err := s.begin(&pontoonpb.SnapshotHeader{Desc: d, Session: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.end(proto.UserRange, second)
	c.mustChange(proto.UserRange, step(addLearner, 2))
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, 2))
}

// P45: what was staged for a sender that does not come back makes room for
// another range of the same keys, too, unless that is refused anyhow.
func TestAbandonedSessionGivesWayToOtherRange_P45(t *testing.T) {
	now := leaderlease.Nanos(0)
	store := still(t, true, &now) // holds range 3, the user span
	s := store.sessions
	header := func(id uint64, span proto.Span, session uint64) *pontoonpb.SnapshotHeader {
		return &pontoonpb.SnapshotHeader{Session: session,
			Desc: &pontoonpb.Descriptor{RangeId: id, Generation: 1, Span: span.Wire()}}
	}
	all := keys.LeaseSpan
	part := proto.Span{Start: slices.Concat(all.Start, []byte("x")), End: all.End}
	wide, err := s.begin(header(20, all, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.begin(header(21, part, 2)); err == nil {
		t.Fatal("took the keys of a range that is being received")
	}
	s.pause(20, wide)
	if _, err := s.begin(header(22, proto.Span{Start: part.Start, End: keys.UserSpan.End}, 3)); err == nil {
		t.Fatal("took the keys of a range of the node")
	}
	if s.by[20] != wide {
		t.Fatal("gave way to a snapshot that is refused")
	}
	narrow, err := s.begin(header(21, part, 2))
	if err != nil {
		t.Fatalf("refused for the sake of a sender that is gone: %v", err)
	}
	if _, err := s.begin(header(20, all, 1)); err == nil {
		t.Fatal("took the keys again")
	}
	s.end(21, narrow)
}

// A node that does not answer holds no raft snapshot to another one up.
func TestBrokenSnapshotStepsAside(t *testing.T) {
	c := newClusterOf(t, 1, 3, func(o *Options) { o.Snapshots, o.SnapshotBytesPerSecond = 1, 1<<20 })
	c.fill(100)
	c.mustChange(proto.UserRange, step(addLearner, 2))
	c.wait("a part is sent", func() bool { return c.learnerProgress(2).SnapshotBytes > 200<<10 })
	c.isolate(2, true)
	c.mustChange(proto.UserRange, step(addLearner, 3))
	c.wait("node 3 has the range", func() bool { return c.nodes[3].store.Descriptor(proto.UserRange) != nil })
	if !c.learnerProgress(2).Snapshot {
		t.Error("the snapshot to the node that is cut off was given up first")
	}
}
