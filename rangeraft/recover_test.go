package rangeraft

import (
	"errors"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// recoverAlone makes the replicas of a stopped node the only ones.
func (nd *testNode) recoverAlone(t *testing.T, ids ...proto.RangeID) []*Recovery {
	t.Helper()
	e := nd.openEngine()
	var done []*Recovery
	for _, id := range ids {
		o := RecoverOptions{Engine: e, Self: nd.id, Range: id, Generation: 5000, Dry: true}
		dry, err := Recover(o)
		if err != nil {
			t.Fatal(err)
		}
		if now := e.Log(id).Descriptor(); now.Generation != dry.Before.Generation || len(now.Replicas) != len(dry.Before.Replicas) {
			t.Fatalf("telling alone made it %v", now)
		}
		o.Dry = false
		r, err := Recover(o)
		if err != nil {
			t.Fatal(err)
		}
		if !goproto.Equal(r.After, dry.After) || r.Tail != dry.Tail {
			t.Errorf("told %+v, did %+v", dry, r)
		}
		if _, err := e.CheckLog(id); err != nil {
			t.Error(err)
		}
		if _, err := Recover(o); err == nil {
			t.Error("recovered a second time to the same generation")
		}
		done = append(done, r)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return done
}

func (c *cluster) stopAll() {
	for _, nd := range c.nodes {
		nd.stop()
	}
}

// mustTake writes and reads at one node.
func (nd *testNode) mustTake(key, value string) {
	t := nd.c.t
	t.Helper()
	nd.c.wait("node to take "+key, func() bool { return nd.at(uint64(proto.UserRange), putOp(key, value)) == nil })
	nd.c.wait("node to have "+key, func() bool { return nd.has(key) == value })
}

// has returns what a node has applied of a key.
func (nd *testNode) has(key string) string {
	v, _, err := nd.engine.Get([]byte("\x03"+key), storage.Latest)
	if err != nil {
		nd.c.t.Fatal(err)
	}
	return string(v.Value)
}

// The nodes that were given up run again with their data. They take themselves
// for the range, which nobody can prevent, but nothing that they say reaches the
// replica that was recovered.
func TestRecoveredIsAStrangerToTheLost(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("a", "1")
	for _, nd := range c.nodes {
		c.wait("replicated", func() bool { return nd.has("a") == "1" })
	}
	c.stopAll()
	alone := c.nodes[3]
	r := alone.recoverAlone(t, proto.UserRange)[0]
	own := r.After.Replicas[0]
	if len(r.After.Replicas) != 1 || own.NodeId != 3 || own.ReplicaId < r.Before.NextReplicaId || own.ReplicaId >= r.After.NextReplicaId {
		t.Fatalf("%v", r.After)
	}
	alone.start(false)
	alone.mustTake("b", "recovered")

	c.nodes[1].start(false)
	c.nodes[2].start(false)
	c.wait("the lost to elect a leader", func() bool {
		return c.nodes[1].store.replica(3).servingTerm.Load()+c.nodes[2].store.replica(3).servingTerm.Load() > 0
	})
	term := alone.store.replica(3).servingTerm.Load()
	for _, key := range []string{"c", "d", "e"} {
		for _, nd := range []*testNode{c.nodes[1], c.nodes[2]} {
			_ = nd.at(3, putOp(key, "lost")) // one of them leads
		}
		alone.mustTake(key, "recovered")
	}
	if now := alone.store.replica(3).servingTerm.Load(); now != term {
		t.Errorf("the lost made it change its term from %d to %d", term, now)
	}
	for _, key := range []string{"b", "c", "d"} {
		if v := alone.has(key); v != "recovered" {
			t.Errorf("%s is %q", key, v)
		}
	}
}

// Another survivor's replica finds out that it is none any more, and gets a new
// one with what was recovered.
func TestOtherSurvivorsAreTakenInAnew(t *testing.T) {
	c := newCluster(t, 5, nil)
	c.put("a", "1")
	for _, nd := range c.nodes {
		c.wait("replicated", func() bool { return nd.has("a") == "1" })
	}
	c.stopAll()
	alone, other := c.nodes[4], c.nodes[5]
	alone.recoverAlone(t, proto.UserRange)
	alone.start(false)
	other.start(false)
	alone.mustTake("b", "2")
	c.wait("the old replica to go", func() bool { return other.store.replica(3) == nil })
	c.mustChange(proto.UserRange, step(addLearner, 5))
	c.wait("the new one to have all", func() bool { return other.has("b") == "2" })
}

// P46: a merge that was under way when the majority went is aborted, and neither
// range is left frozen.
func TestRecoverEndsAMerge_P46(t *testing.T) {
	c := twoRanges(t)
	d := c.drive()
	d.mustFreeze(t)
	for _, nd := range c.nodes {
		c.wait("frozen everywhere", func() bool { return nd.store.replica(10).merging() && nd.store.replica(3).merging() })
	}
	c.stopAll()
	alone := c.nodes[2]
	alone.recoverAlone(t, 3, 10)
	alone.start(false)
	c.mustHave("a", "old-a")
	c.mustHave("x", "old-x")
	c.put("a", "new")
	c.put("x", "new")
}

// What a log holds beyond the applied index goes on as it would have been
// applied, without its changes of replicas; taking in a neighbour only if it is
// known to be committed (P12, P46).
func TestRecoverRewritesTheTail_P12(t *testing.T) {
	lost := []*pontoonpb.Replica{{NodeId: 1, ReplicaId: 1}, {NodeId: 2, ReplicaId: 2}}
	put := []*pontoonpb.Effect{{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_SYS, Key: []byte("\x01k")}}
	cmd := func(gen, batch, before uint64) *pontoonpb.Command {
		return &pontoonpb.Command{Term: 7, Generation: gen, Batch: batch, Predecessor: before, Effects: put}
	}
	change, split, trigger := cmd(9, 2, 1), cmd(10, 3, 2), cmd(11, 4, 3)
	change.Change = &pontoonpb.ReplicaChange{Replicas: lost, NextReplicaId: 9}
	split.Split = &pontoonpb.Split{Key: []byte("\x03m"), RightRangeId: 8}
	trigger.Merge = &pontoonpb.MergeStep{Kind: pontoonpb.MergeStep_TRIGGER, Right: &pontoonpb.Descriptor{Generation: 30}}
	stale := cmd(9, 4, 3)
	tail := []*pontoonpb.Command{nil, cmd(9, 1, 0), change, split, stale, trigger, cmd(31, 5, 4)}
	for commit, want := range map[proto.Index][]uint64{ // generations of what has an effect
		20: {0, 100, 100, 100, 0, 101, 102},
		16: {0, 100, 100, 100, 0, 101, 102},
		15: {0, 100, 100, 100, 0},
		10: {0, 100, 100, 100, 0},
	} {
		re := rewriter{st: storage.AppliedState{Index: 10, Term: 7}, old: 9, new: 100}
		var got []uint64
		for i, c := range tail {
			e := entryOf(t, uint64(11+i), c)
			next, err := re.entry(e, proto.Index(e.GetIndex()) > commit)
			if err != nil {
				t.Fatal(err)
			}
			if next == nil {
				break
			}
			out, err := commandOf(next)
			if err != nil || next.GetIndex() != e.GetIndex() || next.GetTerm() != 7 || next.GetType() != raftpb.EntryNormal || out.GetChange() != nil {
				t.Fatalf("entry %d became %v: %v", e.GetIndex(), next, err)
			}
			if out != nil && (out.Batch != c.Batch || out.Predecessor != c.Predecessor || len(out.Effects) != 1) {
				t.Errorf("%v became %v", c, out)
			}
			got = append(got, out.GetGeneration())
		}
		if !slices.Equal(got, want) {
			t.Errorf("commit %d: generations %v, want %v", commit, got, want)
		}
	}
}

// entryOf is a log entry of term 7.
func entryOf(t *testing.T, index uint64, cmd *pontoonpb.Command) *raftpb.Entry {
	t.Helper()
	e := &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Term: new(uint64(7)), Index: &index}
	if cmd == nil {
		return e
	}
	data, err := cmd.MarshalVT()
	if err == nil && cmd.Change != nil {
		e.Type = raftpb.EntryConfChangeV2.Enum()
		data, err = goproto.Marshal(&raftpb.ConfChangeV2{Context: data})
	}
	if err != nil {
		t.Fatal(err)
	}
	e.Data = data
	return e
}

// What cannot be recovered is refused.
func TestRecoverRefuses(t *testing.T) {
	c := newClusterOf(t, 1, 1, nil)
	c.put("a", "1")
	c.stopAll()
	e := c.nodes[1].openEngine()
	defer e.Close()
	if _, err := Recover(RecoverOptions{Engine: e, Self: 1, Range: 99, Generation: 9}); !errors.Is(err, storage.ErrRangeNotFound) {
		t.Error(err)
	}
	if _, err := Recover(RecoverOptions{Engine: e, Self: 2, Range: 3, Generation: 9}); err == nil {
		t.Error("recovered another node's replica")
	}
}
