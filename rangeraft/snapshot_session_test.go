package rangeraft

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
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

// P47: a raft snapshot that breaks off goes on where it did, and what comes in
// the end is the whole range as the sender's view had it.
func TestSnapshotGoesOnWhereItBroke_P47(t *testing.T) {
	c := newClusterOf(t, 1, 2, func(o *Options) { o.SnapshotBytesPerSecond = 1 << 20 })
	value := make([]byte, 8<<10)
	rng := rand.NewChaCha8([32]byte{})
	for i := range 200 {
		rng.Read(value)
		c.put(fmt.Sprint("k", i), string(value))
	}
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
