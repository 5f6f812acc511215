package evaluator

import (
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Everything that waits is one batch, one ask, one entry, with one number for
// each request that mutates and none for the others (S3).
func TestOneBatchOneAskOneEntry(t *testing.T) {
	r := userRig(t)
	id := r.submit(put("a", "1"), del("nothing", ""), put("b", "2"), txn(valueIs("a", "x"), []*pb.RequestOp{putReq("c", "3", 0)}, nil))
	equal(t, "numbers asked for", r.asks[0].Count, 2)
	r.grant()
	equal(t, "entries", len(r.log), 1)
	r.unanswered(id, id+1, id+2, id+3)
	r.apply()
	for i, want := range []int64{11, 11, 12, 12} {
		equal(t, "header", r.revision(id+RequestID(i)), want)
	}
	equal(t, "b", r.get("b"), "2")
}

// The next batch is evaluated as soon as the one before is proposed, over its
// effects, and not before.
func TestPipeline(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	id := r.submit(txn(valueIs("a", "1"), []*pb.RequestOp{putReq("a", "2", 0)}, nil), del("a", ""))
	equal(t, "asks", len(r.asks), 1)
	r.grant()
	equal(t, "numbers of the second batch", r.asks[0].Count, 2)
	r.grant()
	equal(t, "entries in flight", len(r.log), 2)
	r.apply()
	r.apply()
	equal(t, "succeeded", r.reply(id).GetWrite().Response.GetResponseTxn().Succeeded, true)
	equal(t, "deleted", r.reply(id+1).GetWrite().Response.GetResponseDeleteRange().Deleted, 1)
	equal(t, "a", r.get("a"), "")
}

// Few requests wait while an entry is in flight, enough of them get one beside
// it, and what waited goes on when the entry is applied or dropped.
func TestPipelineAt(t *testing.T) {
	r := userRig(t)
	r.ev.opts.PipelineAt = 3
	r.submit(put("a", "1"))
	r.grant()
	r.submit(put("b", "1"), put("c", "1"))
	equal(t, "asks of two behind an entry", len(r.asks), 0)
	r.submit(put("d", "1"))
	equal(t, "numbers for three behind an entry", r.asks[0].Count, 3)
	r.grant()
	last := r.submit(put("e", "1"))
	r.apply()
	equal(t, "asks while the second entry is in flight", len(r.asks), 0)
	r.apply()
	equal(t, "numbers once nothing is in flight", r.asks[0].Count, 1)
	r.settle()
	equal(t, "header", r.revision(last), 15)
	r.submit(put("f", "1"))
	r.grant()
	r.submit(put("g", "1"))
	r.ev.Dropped(r.log[0].Batch)
	r.log = nil
	r.drain()
	equal(t, "numbers after a dropped entry", r.asks[0].Count, 1)
}

// P11: a request without a number answers with the number before its place,
// and only when what it observed is applied and the lease can be checked.
func TestP11NoNumberWaitsForWhatItSaw(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	r.grant()
	id := r.submit(txn(valueIs("a", "1"), []*pb.RequestOp{rangeReq("a", 0)}, nil))
	equal(t, "numbers", r.asks[0].Count, 0)
	r.grant()
	r.unanswered(id)
	equal(t, "entries", len(r.log), 1)
	r.apply()
	equal(t, "header", r.revision(id), 11)
	equal(t, "lease is checked", r.answers[id].CheckLease, true)
	kvs := r.reply(id).GetWrite().Response.GetResponseTxn().Responses[0].GetResponseRange().Kvs
	equal(t, "mod revision", kvs[0].ModRevision, 11)
}

// P12: entries chain by predecessor; a dropped one takes those after it along.
func TestP12DroppedBatchFailsLaterOnes(t *testing.T) {
	r := userRig(t)
	first := r.submit(put("a", "1"))
	r.grant()
	second := r.submit(put("a", "2"))
	r.grant()
	third := r.submit(put("b", "3")) // waits for its numbers
	equal(t, "predecessor", r.log[1].Predecessor, r.log[0].Batch)
	r.ev.Dropped(r.log[0].Batch)
	late := r.log[1]
	r.log = nil
	r.drain()
	r.code(first, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	r.code(second, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	if r.m.apply(1, late) {
		t.Fatal("an entry was applied whose predecessor was dropped")
	}
	r.unanswered(third)
	if _, ok := r.ev.IdleClosed(); ok {
		t.Fatal("closed while an ask is open (P18)")
	}
	r.grant() // lost: the batch died before (P13)
	equal(t, "entries", len(r.log), 0)
	r.settle()
	equal(t, "header", r.revision(third), 14)
	equal(t, "a", r.get("a"), "")
}

// P12, P34: after losing leadership what was proposed is ambiguous, the rest
// is not; the entries of an old term are ignored.
func TestP12LeadershipLost(t *testing.T) {
	r := userRig(t)
	proposed := r.submit(put("a", "1"), del("x", ""))
	r.grant()
	asked := r.submit(put("b", "2"))
	queued := r.submit(put("c", "3"))
	read := RequestID(100)
	if r.ev.AdmitRead(read, point("a"), 11, nil) {
		t.Fatal("read past an entry in flight")
	}
	r.ev.Fail(proto.NotLeader(5))
	r.drain()
	r.code(proposed, pontoonpb.RangeErrorCode_AMBIGUOUS)
	r.code(proposed+1, pontoonpb.RangeErrorCode_NOT_LEADER)
	r.code(asked, pontoonpb.RangeErrorCode_NOT_LEADER)
	r.code(queued, pontoonpb.RangeErrorCode_NOT_LEADER)
	if r.reads[read].Err == nil {
		t.Fatal("the read was not failed")
	}
	old := r.log[0]
	r.log = nil
	r.lead(7)
	if r.m.apply(7, old) {
		t.Fatal("an entry evaluated in another term was applied")
	}
	after := r.submit(put("a", "4"))
	r.settle()
	equal(t, "header", r.revision(after), 12)
	late := r.submit(put("a", "5"))
	r.ev.Fail(proto.NotLeader(0))
	r.drain()
	r.code(late, pontoonpb.RangeErrorCode_NOT_LEADER)
	last := r.submit(put("a", "6"))
	r.code(last, pontoonpb.RangeErrorCode_NOT_LEADER)
}

// P13: a grant at or below what is closed or was seen when it was asked for is
// from a deposed sequencer: it is asked for again.
func TestP13GrantBelowClosedIsRefused(t *testing.T) {
	r := userRig(t)
	id := r.submit(put("a", "1"))
	r.granted(Grant{First: 10, Read: 9}, nil)
	equal(t, "entries", len(r.log), 0)
	equal(t, "asked again", len(r.asks), 1)
	r.settle()
	equal(t, "header", r.revision(id), 11)
	// The same for a read revision.
	id = r.submit(del("x", ""))
	r.granted(Grant{Read: 9}, nil)
	r.unanswered(id)
	r.settle()
	equal(t, "header", r.revision(id), 11)
}

// P13: numbers bind only to what was evaluated before the ask.
func TestP13LaterRequestsAskAgain(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	late := r.submit(put("a", "2"))
	r.grant()
	equal(t, "effects", len(r.log[0].Effects), 1)
	equal(t, "asks", len(r.asks), 1)
	r.settle()
	equal(t, "header", r.revision(late), 12)
}

// P9: epochs changed: nothing granted, evaluated again.
func TestP9EpochsChanged(t *testing.T) {
	r := userRig(t)
	r.do(put("a", "1"))
	id := r.submit(put("b", "1"), txn(nil, []*pb.RequestOp{rangeReq("a", 11), putReq("c", "1", 0)}, nil))
	r.floorSeen = 12
	r.granted(Grant{EpochsChanged: true}, nil)
	equal(t, "numbers", r.asks[0].Count, 1)
	r.settle()
	equal(t, "header", r.revision(id), 12)
	equal(t, "compacted", r.reply(id+1).GetError().GetMessage(), "etcdserver: mvcc: required revision has been compacted")
}

// P9: an ask names the floor that its batch was evaluated under, also when it
// is sent again and a newer one is known by then.
func TestP9AskNamesFloorOfEvaluation(t *testing.T) {
	r := userRig(t)
	r.floorSeen = 3
	r.submit(put("a", "1"))
	equal(t, "floor", r.asks[0].Floor, 3)
	r.floorSeen = 4
	r.granted(Grant{First: 5, Read: 4}, nil) // of a deposed sequencer
	equal(t, "floor of the second ask", r.asks[0].Floor, 3)
	r.granted(Grant{EpochsChanged: true}, nil)
	equal(t, "floor of the second evaluation", r.asks[0].Floor, 4)
}

// P9: what was checked under an older auth epoch takes no number, whether the
// newer one is known at its evaluation or comes with the answer to its ask.
func TestP9AuthEpoch(t *testing.T) {
	r := userRig(t)
	r.authSeen = 2
	checked := func(epoch uint64) *pontoonpb.RangeOp {
		op := put("a", "1")
		op.AuthChecked = epoch + 1
		return op
	}
	const old = "etcdserver: revision of auth store is old"
	id := r.submit(checked(1))
	equal(t, "an epoch that was over", r.reply(id).GetError().GetMessage(), old)
	id = r.submit(checked(2))
	equal(t, "epoch of the ask", r.asks[0].AuthEpoch, 2)
	r.authSeen = 3
	r.granted(Grant{EpochsChanged: true}, nil)
	equal(t, "an epoch that ended", r.reply(id).GetError().GetMessage(), old)
	for _, reply := range r.do(checked(3), put("a", "2")) { // the second is nobody's
		equal(t, "refused", reply.GetError() != nil, false)
	}
}

// P14: a compare that the missing number decides ends the batch.
func TestP14UndecidedCompareEndsBatch(t *testing.T) {
	r := userRig(t)
	id := r.submit(
		put("a", "1"),
		txn(modIs("a", 5), []*pb.RequestOp{putReq("b", "no", 0)}, nil),   // decided: a number not granted is above seen
		txn(modIs("a", 11), []*pb.RequestOp{putReq("b", "yes", 0)}, nil), // not decided
		put("c", "1"),
	)
	equal(t, "numbers of the first batch", r.asks[0].Count, 1)
	r.grant()
	equal(t, "numbers of the second batch", r.asks[0].Count, 2)
	r.settle()
	equal(t, "b", r.get("b"), "yes")
	equal(t, "header", r.revision(id+1), 11)
	equal(t, "header", r.revision(id+2), 12)
	equal(t, "header", r.revision(id+3), 13)
}

// P16: the overlay goes only after its apply is visible.
func TestP16OverlayUntilApplied(t *testing.T) {
	r := userRig(t)
	r.do(put("a", "0"))
	r.submit(put("a", "1"))
	r.grant()
	r.submit(del("a", ""))
	r.grant()
	id := r.submit(txn(valueIs("a", "1"), nil, []*pb.RequestOp{rangeReq("a", 0)}))
	r.apply()
	equal(t, "overlay keys", r.ev.overlay.versions.Len(), 1)
	r.settle()
	resp := r.reply(id).GetWrite().Response.GetResponseTxn()
	equal(t, "succeeded", resp.Succeeded, false)
	equal(t, "kvs", len(resp.Responses[0].GetResponseRange().Kvs), 0)
	equal(t, "overlay keys", r.ev.overlay.versions.Len(), 0)
}

// Scans and counts merge what is in flight with the engine.
func TestScanMergesOverlay(t *testing.T) {
	r := userRig(t)
	r.do(put("a", "0"), put("b", "0"), put("c", "0"))
	r.submit(del("b", ""), put("bb", "1"), put("c", "1"), put("d", "1"), put("e", "1"))
	r.grant()
	r.submit(del("e", ""))
	r.grant()
	all := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z")}
	count := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), CountOnly: true}
	id := r.submit(writeOp(&pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestRange{RequestRange: all}}, {Request: &pb.RequestOp_RequestRange{RequestRange: count}},
		putReq("x", "1", 0),
	}}}}))
	r.settle()
	resp := r.reply(id).GetWrite().Response.GetResponseTxn().Responses
	got := ""
	for _, kv := range resp[0].GetResponseRange().Kvs {
		got += string(kv.Key) + string(kv.Value) + " "
	}
	equal(t, "scan", got, "a0 bb1 c1 d1 ")
	equal(t, "count", resp[1].GetResponseRange().Count, 4)
}

// P17: a txn may change one key several times: a deletion "from key on" is not
// checked against puts. Each change names what the one before left, and what
// follows in flight sees the last.
func TestP17SameKeyTwice(t *testing.T) {
	r := userRig(t)
	r.registerAll(7)
	r.do(put("a", "0"), leasedPut("b", "0", 7), del("bb", "\x00"))
	toEnd := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, CountOnly: true}
	read := txn(nil, []*pb.RequestOp{
		rangeReq("b", 0), {Request: &pb.RequestOp_RequestRange{RequestRange: toEnd}}, putReq("x", "1", 0),
	}, nil)
	first := r.submit(
		txn(nil, []*pb.RequestOp{
			delReq("b", "\x00"), putReq("b", "1", 7), delReq("a", "\x00"), putReq("c", "1", 7), putReq("d", "1", 0), delReq("c", "\x00"),
		}, nil),
		txn(nil, []*pb.RequestOp{putReq("b", "2", 7), delReq("b", "\x00"), putReq("b", "3", 0)}, nil),
		read)
	r.grant()
	next := r.submit(read)
	base, got := r.log[0].Effects[0].Rev, ""
	for _, f := range r.log[0].Effects {
		switch f.Kind {
		case pontoonpb.EffectKind_EFFECT_PUT:
			got += fmt.Sprintf("put %s@%d.%d create=%d version=%d lease=%d<%d fresh=%v\n",
				f.Key[1:], f.Rev-base, f.Sub, f.CreateRevision-base, f.Version, f.Lease, f.PrevLease, f.Fresh)
		case pontoonpb.EffectKind_EFFECT_DELETE:
			got += fmt.Sprintf("del %s@%d.%d lease<%d fresh=%v\n", f.Key[1:], f.Rev-base, f.Sub, f.PrevLease, f.Fresh)
		}
	}
	want := `del b@0.0 lease<7 fresh=true
put b@0.1 create=0 version=1 lease=7<0 fresh=true
del a@0.2 lease<0 fresh=true
del b@0.3 lease<7 fresh=true
put c@0.4 create=0 version=1 lease=7<0 fresh=true
put d@0.5 create=0 version=1 lease=0<0 fresh=true
del c@0.6 lease<7 fresh=true
del d@0.7 lease<0 fresh=true
put b@1.0 create=1 version=1 lease=7<0 fresh=true
del b@1.1 lease<7 fresh=true
put b@1.2 create=1 version=1 lease=0<0 fresh=true
put x@2.0 create=2 version=1 lease=0<0 fresh=true
`
	equal(t, "effects", got, want)
	r.settle()
	for i, count := range map[RequestID]int64{first + 2: 1, next: 2} { // the later one counts x too
		resp := r.reply(i).GetWrite().Response.GetResponseTxn().Responses
		equal(t, "b", string(resp[0].GetResponseRange().Kvs[0].Value), "3")
		equal(t, "count", resp[1].GetResponseRange().Count, count)
	}
	equal(t, "changes of b", len(r.m.versions[string(user("b"))]), 7)
	equal(t, "b", r.get("b"), "3")
}

// History at a revision that is in flight waits until it is applied; history
// above what is seen needs a fresh number before it is called future.
func TestHistoricReads(t *testing.T) {
	r := userRig(t)
	r.submit(put("a", "1"))
	r.grant() // 11, in flight
	past := r.submit(txn(nil, []*pb.RequestOp{rangeReq("a", 11), putReq("b", "1", 0)}, nil))
	equal(t, "asks", len(r.asks), 0)
	r.apply()
	r.settle()
	kvs := r.reply(past).GetWrite().Response.GetResponseTxn().Responses[0].GetResponseRange().Kvs
	equal(t, "value", string(kvs[0].Value), "1")

	r.next = 21 // others took numbers that this node did not see
	id := r.submit(
		txn(nil, []*pb.RequestOp{rangeReq("a", 20), putReq("b", "2", 0)}, nil),
		txn(nil, []*pb.RequestOp{rangeReq("a", 99), putReq("b", "3", 0)}, nil),
	)
	equal(t, "fresh number", r.asks[0].Count, 0)
	r.settle()
	equal(t, "header", r.revision(id), 21)
	equal(t, "future", r.reply(id+1).GetError().GetMessage(), "etcdserver: mvcc: required revision is a future revision")
}

// Batches without a user-visible read or change need no number.
func TestNoAskForInternalWrites(t *testing.T) {
	r := newRig(t, proto.Span{Start: []byte{1}, End: []byte{2}})
	id := r.submit(sysWrite([]byte("\x01k"), "1"))
	equal(t, "asks", len(r.asks), 0)
	bad := r.submit(sysWrite([]byte("\x01k"), "2", &pontoonpb.SysRecord{Key: []byte("\x01k")}))
	ok := r.submit(sysWrite([]byte("\x01k"), "3", &pontoonpb.SysRecord{Key: []byte("\x01k"), Value: []byte("1")}))
	r.unanswered(id, bad, ok) // the condition failed over something in flight (P11)
	r.settle()
	r.code(bad, pontoonpb.RangeErrorCode_CONDITION_FAILED)
	r.code(ok, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	value, _ := r.m.Local(pontoonpb.Space_SPACE_SYS, []byte("\x01k"), nil)
	equal(t, "value", string(value), "3")
}

// Truncation rides on the next entry, or takes one of its own.
func TestTruncate(t *testing.T) {
	r := userRig(t)
	r.ev.Truncate(5, 1)
	r.drain()
	equal(t, "index", r.log[0].TruncateIndex, 5)
	r.settle()
	r.submit(put("a", "1"))
	r.ev.Truncate(6, 1)
	r.drain()
	equal(t, "entries", len(r.log), 0)
	r.grant()
	equal(t, "entries", len(r.log), 1)
	equal(t, "index", r.log[0].TruncateIndex, 6)
}

// P36: a large deletion is one effect, alone, over a drained range, and nothing
// is evaluated until it is applied.
func TestP36LargeDelete(t *testing.T) {
	r := userRig(t)
	for _, k := range []string{"a", "b", "c", "d", "e", "f"} {
		r.do(put(k, "1"))
	}
	r.submit(put("g", "1"))
	r.grant()
	id := r.submit(del("a", "z"), put("b", "2"))
	equal(t, "asks before the range is drained", len(r.asks), 0)
	r.apply()
	equal(t, "numbers", r.asks[0].Count, 1)
	r.grant()
	equal(t, "effects", len(r.log[0].Effects), 1)
	equal(t, "kind", r.log[0].Effects[0].Kind, pontoonpb.EffectKind_EFFECT_DELETE_SPAN)
	equal(t, "asks beside the deletion", len(r.asks), 0)
	r.settle()
	equal(t, "deleted", r.reply(id).GetWrite().Response.GetResponseDeleteRange().Deleted, 7)
	equal(t, "header", r.revision(id), 18)
	equal(t, "live", len(r.m.live(spanOf("a", "z"), 0)), 1)
	equal(t, "b", r.get("b"), "2")
}

// Cancel takes back what is not evaluated, and nothing else.
func TestCancel(t *testing.T) {
	r := userRig(t)
	evaluated := r.submit(put("a", "1"))
	queued := r.submit(put("b", "1"))
	equal(t, "queued", r.ev.Cancel(queued), true)
	equal(t, "evaluated", r.ev.Cancel(evaluated), false)
	r.do(lockAs(1, true, write("k")))
	blocked := r.submit(put("k", "1"))
	equal(t, "blocked", r.ev.Cancel(blocked), true)
	r.do(resolve(1, false, 0))
	equal(t, "b and k", r.get("b")+r.get("k"), "")
	r.unanswered(queued, blocked)
}

// What waited keeps the place that its arrival gave it.
func TestRequeueKeepsOrder(t *testing.T) {
	r := userRig(t)
	r.do(lockAs(1, false, write("k")))
	r.submit(put("k", "first"))
	r.submit(put("x", "1")) // its ask keeps the others from being evaluated
	r.submit(resolve(1, false, 0), put("k", "second"))
	r.settle()
	equal(t, "k", r.get("k"), "second")
}

// A failed ask refuses what needs a number, and only that.
func TestAskFails(t *testing.T) {
	r := userRig(t)
	id := r.submit(lockAs(1, false, write("k")), put("a", "1"))
	r.granted(Grant{}, errors.New("no sequencer"))
	r.code(id+1, pontoonpb.RangeErrorCode_NOT_PROPOSED)
	r.unanswered(id)
	r.settle()
	r.code(id, pontoonpb.RangeErrorCode_RANGE_ERROR_NONE)
	equal(t, "locks", len(r.m.locks()), 1)
}

// P21: what does not lie in the range is refused with the descriptor.
func TestP21Mismatch(t *testing.T) {
	r := newRig(t, spanOf("b", "m"))
	id := r.submit(put("a", "1"), del("c", "z"), lockAs(1, false, write("x")))
	for i := range RequestID(3) {
		r.code(id+i, pontoonpb.RangeErrorCode_RANGE_MISMATCH)
		equal(t, "descriptor", r.reply(id + i).Error.Descriptors[0].RangeId, 3)
	}
}

// One entry holds about MaxBatchBytes.
func TestBatchIsCapped(t *testing.T) {
	r := userRig(t)
	r.ev.opts.MaxBatchBytes = 300
	r.submit(put("a", string(make([]byte, 200))), put("b", string(make([]byte, 200))), put("c", "1"))
	equal(t, "numbers", r.asks[0].Count, 2)
	r.ev.opts.MaxBatchRequests = 1
	r.submit(put("d", "1"))
	r.grant()
	equal(t, "numbers", r.asks[0].Count, 1)
}
