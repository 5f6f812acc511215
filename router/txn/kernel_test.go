package txn

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// three ranges of user keys: up to c, up to e, the rest.
func threeRanges() []*pontoonpb.Descriptor {
	u := func(k string) []byte { return keys.User([]byte(k)) }
	return []*pontoonpb.Descriptor{
		{RangeId: 2, Span: keys.LeaseSpan.Wire()},
		{RangeId: 3, Span: &pontoonpb.Span{Start: keys.UserSpan.Start, End: u("c")}},
		{RangeId: 4, Span: &pontoonpb.Span{Start: u("c"), End: u("e")}},
		{RangeId: 5, Span: &pontoonpb.Span{Start: u("e"), End: keys.Max}},
	}
}

func puts(names ...string) (out []*pb.RequestOp) {
	for _, k := range names {
		out = append(out, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(k)}}})
	}
	return out
}

func kernelFor(r *pb.TxnRequest, path etcdop.Path, wait bool) *Kernel {
	w := &write{op: &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}, path: path, floor: -1}
	return newKernel(&pontoonpb.TxnID{Counter: 1}, w, groups(targets(w.accesses()), threeRanges()), wait)
}

// locked answers a lock request with nothing there, except kvs.
func locked(c Call, kvs ...*mvccpb.KeyValue) *pontoonpb.RangeReply {
	r := &pontoonpb.LockReply{Floor: 10, CompactFloor: -1}
	for range c.Op.GetLock().Reads {
		r.Reads = append(r.Reads, &pontoonpb.ReadReply{Kvs: kvs})
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Lock{Lock: r}}
}

func failed(code pontoonpb.RangeErrorCode) error { return proto.Errorf(code, "test") }

// lockAll answers every lock request and returns the step after them.
func lockAll(t *testing.T, k *Kernel) Step {
	t.Helper()
	step, open := k.Start(), []Call(nil)
	for {
		open = append(open, step.Calls...)
		if len(open) == 0 || open[0].Op.GetLock() == nil {
			return step
		}
		step = k.Handle(open[0].Seq, locked(open[0]), nil)
		open = open[1:]
	}
}

// P29: the range of the first locked key is the anchor, locked alone and first;
// its entry is the pending record and names all participants.
func TestAnchorFirst(t *testing.T) {
	k := kernelFor(&pb.TxnRequest{Success: puts("f", "a", "d")}, etcdop.Path{true}, false)
	step := k.Start()
	if len(step.Calls) != 1 {
		t.Fatalf("%d calls at first", len(step.Calls))
	}
	op := step.Calls[0].Op.GetLock()
	if !op.Anchor || string(op.AnchorKey) != "\x03a" || len(op.Participants) != 3 {
		t.Errorf("anchor request: %v", op)
	}
	// P35: then the others at once, failing fast.
	step = k.Handle(step.Calls[0].Seq, locked(step.Calls[0]), nil)
	if len(step.Calls) != 2 {
		t.Fatalf("%d calls after the anchor", len(step.Calls))
	}
	for _, c := range step.Calls {
		if o := c.Op.GetLock(); o.Anchor || o.Wait || len(o.Participants) != 0 {
			t.Errorf("other request: %v", o)
		}
	}
}

// P35: a conflict ends the attempt only when every request was answered, and
// the next attempt takes the locks in key order, waiting.
func TestConflict(t *testing.T) {
	r := &pb.TxnRequest{Success: puts("a", "d", "f")}
	k := kernelFor(r, etcdop.Path{true}, false)
	step := k.Start()
	step = k.Handle(step.Calls[0].Seq, locked(step.Calls[0]), nil)
	others := step.Calls
	if step = k.Handle(others[0].Seq, nil, failed(pontoonpb.RangeErrorCode_LOCKED)); step.Outcome != nil {
		t.Fatal("ended while a lock request was under way")
	}
	step = k.Handle(others[1].Seq, locked(others[1]), nil)
	if o := step.Outcome; o == nil || !o.Again || !o.Wait || !o.Settle {
		t.Fatalf("outcome %+v", o)
	}
	k = kernelFor(r, etcdop.Path{true}, true)
	step = k.Start()
	for _, key := range []string{"\x03a", "\x03d", "\x03f"} {
		if len(step.Calls) != 1 || string(step.Calls[0].Op.Span.Start) != key || !step.Calls[0].Op.GetLock().Wait {
			t.Fatalf("waiting for %q: %v", key, step.Calls)
		}
		step = k.Handle(step.Calls[0].Seq, locked(step.Calls[0]), nil)
	}
	if step.Calls[0].Op.GetCommit() == nil {
		t.Error("all locks are held, no commit")
	}
}

// P35: a lock that a busy leader refuses ends the txn with its answer, and what
// the others hold is released.
func TestRefusedLock(t *testing.T) {
	k := kernelFor(&pb.TxnRequest{Success: puts("a", "d", "f")}, etcdop.Path{true}, false)
	step := k.Start()
	step = k.Handle(step.Calls[0].Seq, locked(step.Calls[0]), nil)
	others := step.Calls
	busy := proto.Answer(rpctypes.ErrGRPCRequestTooManyRequests)
	if step = k.Handle(others[0].Seq, nil, busy); step.Outcome != nil {
		t.Fatal("ended while a lock request was under way")
	}
	step = k.Handle(others[1].Seq, locked(others[1]), nil)
	if o := step.Outcome; o == nil || o.Err != busy || o.Again || !o.Settle {
		t.Fatalf("outcome %+v", o)
	}
}

// P33: compares under lock that choose another branch start anew.
func TestOtherBranch(t *testing.T) {
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("a"), Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: 0}}},
		Success: puts("d"), Failure: puts("f"),
	}
	if o := lockAll(t, kernelFor(r, etcdop.Path{true}, false)).Outcome; o == nil || !o.Again || !o.Settle {
		t.Errorf("locked for success, compares fail: %+v", o)
	}
	if s := lockAll(t, kernelFor(r, etcdop.Path{false}, false)); len(s.Calls) != 1 || s.Calls[0].Op.GetCommit() == nil {
		t.Errorf("locked for failure: %+v", s)
	}
	if s := lockAll(t, kernelFor(r, nil, false)); len(s.Calls) != 1 || len(s.Calls[0].Op.GetCommit().GetEffects()) != 1 {
		t.Errorf("locked for both: %+v", s)
	}
}

// P34: an unknown fate is asked for at the anchor, never sent again; the record
// decides.
func TestUnknownCommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		abort *pontoonpb.AbortReply
		err   error
		want  func(*Outcome) bool
	}{
		{"committed", &pontoonpb.AbortReply{Committed: &pontoonpb.TxnRecord{Revision: 77}}, nil,
			func(o *Outcome) bool {
				return o.Committed && o.Revision == 77 && o.Response.GetResponseTxn().Header.Revision == 77
			}},
		// Aborted, or carried out by others who dropped the record (P32): a second
		// attempt could do the txn twice.
		{"no record", &pontoonpb.AbortReply{}, nil, func(o *Outcome) bool { return o.Unknown && o.Err != nil && !o.Again && !o.Committed && o.Settle }},
		{"no answer", nil, failed(pontoonpb.RangeErrorCode_UNAVAILABLE), func(o *Outcome) bool { return o.Unknown && o.Err != nil && !o.Again }},
	} {
		k := kernelFor(&pb.TxnRequest{Success: puts("a", "f")}, etcdop.Path{true}, false)
		step := lockAll(t, k)
		step = k.Handle(step.Calls[0].Seq, nil, failed(pontoonpb.RangeErrorCode_AMBIGUOUS))
		if len(step.Calls) != 1 || step.Calls[0].Op.GetAbort() == nil {
			t.Fatalf("%s: after an unknown commit: %+v", c.name, step)
		}
		var reply *pontoonpb.RangeReply
		if c.abort != nil {
			reply = &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Abort{Abort: c.abort}}
		}
		if o := k.Handle(step.Calls[0].Seq, reply, c.err).Outcome; o == nil || !c.want(o) {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}

// T1, P36: one commit carries all effects with placeholders; a split of the
// anchor's range sends it to the record's key.
func TestCommit(t *testing.T) {
	k := kernelFor(&pb.TxnRequest{Success: puts("b", "a", "f")}, etcdop.Path{true}, false)
	step := lockAll(t, k)
	op := step.Calls[0].Op.GetCommit()
	if !op.NeedsRevision || len(op.Effects) != 3 || op.Effects[2].Rev != etcdop.Placeholder || op.Effects[2].Sub != 2 {
		t.Fatalf("commit %v", op)
	}
	step = k.Handle(step.Calls[0].Seq, nil, failed(pontoonpb.RangeErrorCode_RANGE_MISMATCH))
	if len(step.Calls) != 1 || string(step.Calls[0].Op.Span.End) != "\x03a\x00" || !k.split {
		t.Fatalf("after a split: %+v", step)
	}
	step = k.Handle(step.Calls[0].Seq, nil, failed(pontoonpb.RangeErrorCode_TXN_NOT_PENDING))
	if o := step.Outcome; o == nil || !o.Again || o.Committed {
		t.Errorf("somebody aborted it: %+v", o)
	}
}

// P33: nothing changes: the read revision is taken under the locks, and the
// commit proves them.
func TestChangesNothing(t *testing.T) {
	r := &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}},
	}}}}
	k := kernelFor(r, etcdop.Path{true}, false)
	step := lockAll(t, k)
	if !step.AskRevision {
		t.Fatalf("step %+v", step)
	}
	step = k.Revision(20, nil)
	op := step.Calls[0].Op.GetCommit()
	if op == nil || op.NeedsRevision || len(op.Effects) != 0 {
		t.Fatalf("commit %v", op)
	}
	o := k.Handle(step.Calls[0].Seq, &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Commit{Commit: &pontoonpb.CommitReply{}}}, nil).Outcome
	if o == nil || !o.Committed || o.Revision != 20 || o.Response.GetResponseTxn().Header.Revision != 20 {
		t.Errorf("outcome %+v", o)
	}
}

// P33, P37: the lease record is locked shared in its own group, and decides.
func TestLeaseUnderLock(t *testing.T) {
	r := &pb.TxnRequest{Success: puts("a", "f")}
	r.Success[0].GetRequestPut().Lease = 7
	for _, c := range []struct {
		name   string
		record *pontoonpb.LeaseRecord
		err    error
		again  bool
	}{
		{"unknown", nil, rpctypes.ErrGRPCLeaseNotFound, false},
		{"registered elsewhere", &pontoonpb.LeaseRecord{Id: 7}, nil, true},
		{"registered", &pontoonpb.LeaseRecord{Id: 7, Registered: []*pontoonpb.Span{keys.UserSpan.Wire()}}, nil, false},
	} {
		k := kernelFor(r, etcdop.Path{true}, false)
		step := k.Start()
		lock := step.Calls[0].Op.GetLock()
		if len(lock.Locks) != 1 || lock.Locks[0].Mode != pontoonpb.LockMode_LOCK_SHARED || string(lock.AnchorKey) != string(keys.Lease(7)) {
			t.Fatalf("%s: first lock %v", c.name, lock)
		}
		reply := locked(step.Calls[0])
		reply.GetLock().Lease = c.record
		step = k.Handle(step.Calls[0].Seq, reply, nil)
		others := step.Calls
		for _, o := range others {
			step = k.Handle(o.Seq, locked(o), nil)
		}
		if c.again {
			if step.Outcome == nil || !step.Outcome.Again {
				t.Errorf("%s: %+v", c.name, step)
			}
			continue
		}
		op := step.Calls[0].Op.GetCommit()
		o := k.Handle(step.Calls[0].Seq, &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Commit{Commit: &pontoonpb.CommitReply{Revision: 12}}}, nil).Outcome
		if o == nil || o.Err != c.err || (c.err == nil) != (len(op.Effects) == 2) {
			t.Errorf("%s: %+v with %v", c.name, o, op)
		}
	}
}

// Every key is locked once, with the strongest mode asked for.
func TestTargets(t *testing.T) {
	u := func(key, end string) proto.Span { return keys.UserRangeSpan([]byte(key), []byte(end)) }
	ts := targets([]etcdop.Access{
		{Span: u("a", "f")}, {Span: u("c", ""), Write: true}, {Span: u("e", "h"), Write: true}, {Span: u("a", ""), Rev: 3},
		{Span: u("x", ""), Write: true, Lease: 5}, {Span: u("y", ""), Write: true, Lease: 5},
	})
	var got string
	for _, x := range ts {
		got += x.mode.String()[5:6] + string(x.span.Start[1:]) + ".." + string(x.span.End[1:]) + " "
	}
	want := "S\x00\x00\x00\x00\x00\x00\x00\x05..\x00\x00\x00\x00\x00\x00\x00\x05\x00 Sa..a\x00 Sa..c Wc..c\x00 Sc\x00..e We..h Wx..x\x00 Wy..y\x00 "
	if got != want {
		t.Errorf("targets\n%q\n%q", got, want)
	}
}
