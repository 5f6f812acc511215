package rangeraft

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// leaseHome knows every lease.
type leaseHome struct{}

func (leaseHome) Register(context.Context, proto.LeaseID, proto.Span) (uint64, bool, error) {
	return 1, true, nil
}

// checksum is that of a node's replica, over every replicated space.
func (nd *testNode) checksum(id proto.RangeID) storage.Checksum {
	nd.c.t.Helper()
	v, err := nd.engine.NewView()
	if err != nil {
		nd.c.t.Fatal(err)
	}
	defer v.Close()
	sum, err := v.Checksum(id)
	if err != nil {
		nd.c.t.Fatal(err)
	}
	return sum
}

// P47: a learner gets versions, locks, lease index, registrations and counts,
// and when it leads, the lock that came with it is in force: closed stays at its
// floor, and a write waits for it.
func TestMoveCarriesLocksAndRegistrations_P47(t *testing.T) {
	c := newClusterOf(t, 1, 2, func(o *Options) {
		o.LeaseHome = leaseHome{}
		o.Resolver = nil // nobody resolves the lock
	})
	for i := range 100 {
		c.put(fmt.Sprint("k", i), "v")
	}
	leased := putOp("leased", "v")
	leased.GetWrite().Request.GetRequestPut().Lease = 77
	c.mustDo(leased)
	txn := &pontoonpb.TxnID{Node: 9, Boot: 1, Counter: 1}
	c.mustDo(lockOp(txn, "a", "a"))
	c.put("after", "the lock")

	c.mustChange(proto.UserRange, step(addLearner, 2))
	c.promoteOnceCaughtUp(proto.UserRange, step(promote, 2))
	c.wait("both have applied the same", func() bool {
		a, b := c.nodes[1].checksum(3), c.nodes[2].checksum(3)
		if a.Index == b.Index && a.Sum != b.Sum {
			t.Fatalf("at index %d the checksums are %x and %x", a.Index, a.Sum, b.Sum)
		}
		return a.Index == b.Index
	})
	one, two := c.nodes[1].store.replica(3), c.nodes[2].store.replica(3)
	if n := two.counts.now(); n != one.counts.now() || n != 102 {
		t.Errorf("counts %d live keys, want %d", n, one.counts.now())
	}
	c.promoteOnceCaughtUp(proto.UserRange, step(demote, 1))
	c.wait("the new replica leads", func() bool { return two.servingTerm.Load() > 0 })
	two.mu.Lock()
	unlocked := two.ev.Unlocked()
	two.mu.Unlock()
	if unlocked {
		t.Fatal("the lock did not come along")
	}
	op := putOp("a", "too early")
	op.RangeId = 3
	if reply := c.nodes[2].store.Do(ctxFor(t, 200*time.Millisecond), op); reply.Error == nil {
		t.Fatal("wrote under another txn's lock")
	}
	second := putOp("leased2", "v") // inside the span registered for the lease
	second.GetWrite().Request.GetRequestPut().Lease = 77
	c.mustDo(second)
	c.mustDo(&pontoonpb.RangeOp{Span: userPoint("a").Wire(), Op: &pontoonpb.RangeOp_Abort{
		Abort: &pontoonpb.AbortOp{Txn: txn, AnchorKey: keys.User([]byte("a"))}}})
	c.mustDo(&pontoonpb.RangeOp{Span: userPoint("a").Wire(), Op: &pontoonpb.RangeOp_Resolve{
		Resolve: &pontoonpb.ResolveOp{Txn: txn}}})
	c.put("a", "now")
}

// revisions lists what was written; numbers of dropped proposals are missing.
func (nd *testNode) revisions() (revs []int64) {
	v, err := nd.engine.NewView()
	if err != nil {
		nd.c.t.Fatal(err)
	}
	defer v.Close()
	err = v.Changes(keys.UserSpan, 2, storage.Latest, func(ver *storage.Version) (bool, error) {
		revs = append(revs, int64(ver.ModRevision))
		return true, nil
	})
	if err != nil {
		nd.c.t.Fatal(err)
	}
	return revs
}

// traveller follows the range from node to node, as a gateway does: what a feed
// delivered above its last checkpoint counts for nothing when it ends.
type traveller struct {
	c       *cluster
	mu      sync.Mutex
	closed  int64
	seen    map[int64]int
	rehomed int
}

func (f *traveller) run(ctx context.Context) {
	for at := 0; ctx.Err() == nil; at++ {
		d := f.c.descriptor(proto.UserRange)
		rep := d.Replicas[at%len(d.Replicas)]
		feed, err := f.c.nodes[proto.NodeID(rep.NodeId)].store.OpenFeed(ctx, &pontoonpb.FeedRequest{
			RangeId: d.RangeId, Span: d.Span, From: f.closed + 1})
		if err == nil {
			f.follow(ctx, feed)
			feed.Close()
		}
		f.mu.Lock()
		f.rehomed++
		f.mu.Unlock()
	}
}

func (f *traveller) follow(ctx context.Context, feed Feed) {
	var open []int64
	for {
		m, err := feed.Recv(ctx)
		if err != nil || m.Ended != nil {
			return
		}
		for _, e := range m.Events {
			open = append(open, e.Event.Kv.ModRevision)
		}
		if c := m.Checkpoint.GetClosed(); c > 0 {
			f.mu.Lock()
			var above []int64
			for _, rev := range open {
				if rev <= c {
					f.seen[rev]++
				} else {
					above = append(above, rev)
				}
			}
			open, f.closed = above, max(f.closed, c)
			f.mu.Unlock()
		}
	}
}

// P23, P24: a watch whose replica moves away goes on elsewhere: every revision
// comes once, whatever is written meanwhile.
func TestFeedAcrossMoves_P24(t *testing.T) {
	c := newClusterOf(t, 3, 6, nil)
	c.put("a", "1")
	f := &traveller{c: c, seen: map[int64]int{}, closed: 1}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { f.run(ctx) })
	stop := make(chan struct{})
	w := c.writer("w", stop)
	for from := proto.NodeID(1); from <= 3; from++ {
		c.move(proto.UserRange, from, from+3)
	}
	close(stop)
	<-w
	last := c.put("last", "1")
	c.wait("the feed is there", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.closed >= last
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	written := c.leader(proto.UserRange).revisions()
	for _, rev := range written {
		if f.seen[rev] != 1 {
			t.Errorf("revision %d of %d came %d times", rev, last, f.seen[rev])
		}
	}
	if len(written) != len(f.seen) {
		t.Errorf("%d revisions are written, %d came", len(written), len(f.seen))
	}
	if f.rehomed == 0 {
		t.Fatal("the feed never moved")
	}
}

// P12: a configuration change that apply refuses changes neither the descriptor
// nor raft's configuration, on no replica, and the next one works.
func TestRefusedChangeChangesNothing_P12(t *testing.T) {
	c := newClusterOf(t, 3, 4, nil)
	c.put("a", "1")
	l := c.leader(proto.UserRange)
	r := l.store.replica(proto.UserRange)
	r.mu.Lock()
	d := r.desc.Load()
	cmd := &pontoonpb.Command{Term: uint64(r.leaderTerm), Generation: d.Generation + 1, Batch: 1 << 40,
		Predecessor: r.state.Batch, Change: &pontoonpb.ReplicaChange{NextReplicaId: 9, Replicas: append(
			[]*pontoonpb.Replica{{NodeId: 4, ReplicaId: 8, Role: pontoonpb.ReplicaRole_REPLICA_LEARNER}}, d.Replicas...)}}
	data, err := cmd.MarshalVT()
	if err == nil {
		err = r.proposeChange(cmd, data)
	}
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	r.post(func() {})
	c.put("b", "2")
	c.mustChange(proto.UserRange, step(addLearner, 4))
	for _, nd := range c.nodes {
		c.wait("applied", func() bool {
			r := nd.store.replica(proto.UserRange)
			return r != nil && r.desc.Load().GetGeneration() == d.Generation+1
		})
		r := nd.store.replica(proto.UserRange)
		r.mu.Lock()
		cs := r.rn.Status().Config
		if got := r.desc.Load(); len(got.Replicas) != 4 || got.NextReplicaId != 5 || len(cs.Learners) != 1 || len(cs.Voters[0]) != 3 {
			t.Errorf("node %d has %v and %v", nd.id, got, cs)
		}
		r.mu.Unlock()
	}
}

// raft refuses a second change while one is in its log by putting an empty
// entry in its place; that must not pass for a proposal.
func TestSecondChangeInLogIsNoticed_P12(t *testing.T) {
	c := newClusterOf(t, 1, 1, nil)
	c.put("a", "1")
	r := c.leader(proto.UserRange).store.replica(proto.UserRange)
	r.mu.Lock()
	defer r.mu.Unlock()
	cmd := &pontoonpb.Command{Term: uint64(r.leaderTerm), Generation: 99, Change: &pontoonpb.ReplicaChange{
		Replicas: append([]*pontoonpb.Replica{{NodeId: 4, ReplicaId: 8, Role: pontoonpb.ReplicaRole_REPLICA_LEARNER}}, r.desc.Load().Replicas...)}}
	data, err := cmd.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.proposeChange(cmd, data); err != nil {
		t.Fatal(err)
	}
	if err := r.proposeChange(cmd, data); err == nil {
		t.Fatal("the second change passed for proposed")
	}
}

// A commit index is written with the first change of replicas after it, with a
// new term or vote, and with nothing else (P12).
func TestCommitIsWrittenWithAChangeOfReplicas_P12(t *testing.T) {
	hard := func(term, vote, commit uint64) *raftpb.Message {
		return &raftpb.Message{Term: &term, Vote: &vote, Commit: &commit}
	}
	with := func(m *raftpb.Message, index uint64, kind raftpb.EntryType) *raftpb.Message {
		m.Entries = append(m.Entries, &raftpb.Entry{Index: &index, Term: new(uint64(3)), Type: &kind})
		m.Responses = []*raftpb.Message{{}}
		return m
	}
	normal, change := raftpb.EntryNormal, raftpb.EntryConfChangeV2
	steps := []struct {
		m    *raftpb.Message
		want uint64 // commit index that is written; 0: no hard state, ^0: nothing at all
	}{
		{hard(3, 2, 4), 4},                                     // a vote
		{with(hard(3, 2, 5), 8, normal), 0},                    // a commit index beside entries
		{hard(3, 2, 6), ^uint64(0)},                            // one alone
		{with(&raftpb.Message{}, 9, change), 6},                // said before, and never written
		{with(&raftpb.Message{}, 10, change), 0},               // said
		{with(with(hard(3, 2, 9), 11, normal), 12, change), 9}, // with the change itself
		{with(hard(4, 2, 9), 13, normal), 9},                   // a new term
	}
	s := &Store{}
	s.writer = newLogWriter(s)
	r := &Replica{s: s}
	for i, step := range steps {
		r.append(step.m)
		got := ^uint64(0)
		if n := len(s.writer.queue); n > 0 {
			got = hardStateOf(s.writer.queue[n-1].msg).GetCommit()
		}
		if s.writer.queue = nil; got != step.want {
			t.Errorf("step %d wrote commit index %d, want %d", i, int64(got), int64(step.want))
		}
	}
}
