package rangeraft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// lessorLog is a lessor that writes down what it is told.
type lessorLog struct {
	serve func() (*pontoonpb.LeaseReply, error)

	mu    sync.Mutex
	calls []string
}

func (l *lessorLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
}

func (l *lessorLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

func (l *lessorLog) Gained(id proto.RangeID, _ proto.Term, _ proto.Span, records []*pontoonpb.LeaseRecord) {
	l.add("gained %d %d", id, len(records))
}
func (l *lessorLog) Lost(id proto.RangeID)                                            { l.add("lost %d", id) }
func (l *lessorLog) Applied(proto.RangeID, []*pontoonpb.LeaseRecord, []proto.LeaseID) {}
func (l *lessorLog) EndRevoke(id proto.LeaseID, revoked bool)                         { l.add("end %d %v", id, revoked) }

func (l *lessorLog) BeginRevoke(id proto.LeaseID, term, _ uint64) error {
	l.add("begin %d %d", id, term)
	return nil
}

func (l *lessorLog) Serve(context.Context, proto.RangeID, *pontoonpb.LeaseOp) (*pontoonpb.LeaseReply, error) {
	if l.serve == nil {
		return nil, errors.New("not here")
	}
	return l.serve()
}

func ttlOp(key string) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{RangeId: uint64(proto.UserRange), Span: keys.Point([]byte("\x03" + key)).Wire(),
		Op: &pontoonpb.RangeOp_Lease{Lease: &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_TTL, Id: 1}}}
}

// P5: what a lessor answers counts only if this was the leader after it had looked.
func TestALeaseAnswerIsProvedAfterwards_P5(t *testing.T) {
	var log lessorLog
	c := newCluster(t, 3, func(o *Options) { o.Lessor = &log })
	c.put("a", "1")
	old := c.leader(proto.UserRange)
	log.serve = func() (*pontoonpb.LeaseReply, error) { return &pontoonpb.LeaseReply{TtlSeconds: 7}, nil }
	if reply := old.store.Do(ctxFor(t, 10*time.Second), ttlOp("a")); reply.GetLease().GetTtlSeconds() != 7 {
		t.Fatal(reply)
	}
	log.serve = func() (*pontoonpb.LeaseReply, error) {
		c.isolate(old.id, true)
		c.succeeded(old)
		return &pontoonpb.LeaseReply{TtlSeconds: 7}, nil
	}
	if reply := old.store.Do(ctxFor(t, 2*time.Second), ttlOp("a")); reply.Error == nil {
		t.Fatalf("who was leader answers %v", reply)
	}
}

// P15: while the fate of a split is open nothing of its right side is served,
// answers of a lessor neither.
func TestNoLeaseAnswerForWhatSplitsOff_P15(t *testing.T) {
	var log lessorLog
	log.serve = func() (*pontoonpb.LeaseReply, error) { return &pontoonpb.LeaseReply{TtlSeconds: 7}, nil }
	c := newCluster(t, 3, func(o *Options) { o.Lessor = &log })
	c.put("a", "1")
	l := c.leader(proto.UserRange)
	r := l.store.replica(proto.UserRange)
	c.isolate(l.id, true) // its lease goes on for a while, but nothing is committed
	op := splitOp(c, "m", 10)
	op.RangeId = uint64(proto.UserRange)
	go l.store.Do(ctxFor(t, 10*time.Second), op)
	c.wait("the split is proposed", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.ev != nil && r.ev.SplitsOff(proto.SpanOf(ttlOp("z").Span))
	})
	if e := l.store.Do(ctxFor(t, 10*time.Second), ttlOp("z")).Error; e.GetCode() != pontoonpb.RangeErrorCode_NOT_PROPOSED {
		t.Errorf("right of the split: %v", e)
	}
	if reply := l.store.Do(ctxFor(t, 10*time.Second), ttlOp("a")); reply.Error.GetCode() == pontoonpb.RangeErrorCode_NOT_PROPOSED {
		t.Errorf("left of the split: %v", reply)
	}
}

func grantOp(id proto.LeaseID) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Span: keys.Point(keys.Lease(id)).Wire(), Op: &pontoonpb.RangeOp_Lease{
		Lease: &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_GRANT, Id: int64(id), TtlSeconds: 60, Incarnation: 1}}}
}

func revokeOp(id proto.LeaseID) *pontoonpb.RangeOp {
	point := keys.Point(keys.Lease(id))
	return &pontoonpb.RangeOp{Span: point.Wire(), Op: &pontoonpb.RangeOp_Lock{Lock: &pontoonpb.LockOp{
		Txn: &pontoonpb.TxnID{Node: 9, Boot: 1, Counter: uint64(id)}, AnchorKey: point.Start, Anchor: true,
		RevokeLease: int64(id), Participants: []*pontoonpb.Span{point.Wire()},
		Locks: []*pontoonpb.LockSpan{{Span: point.Wire(), Mode: pontoonpb.LockMode_LOCK_WRITE}}}}}
}

// P39: a revoke under way survives the split of the lease range, on both sides:
// the left lessor is told of its narrower span without losing what it began,
// the right one begins what it inherits.
func TestSplitKeepsRevokes_P39(t *testing.T) {
	var log lessorLog
	c := newCluster(t, 1, func(o *Options) {
		o.Lessor, o.Resolver = &log, nil // nobody finishes the revokes
	})
	nd := c.nodes[1]
	nd.stop()
	c.desc[0].Span, nd.fs = keys.LeaseSpan.Wire(), storage.NewCrashableMemFS()
	nd.start(true)
	for _, id := range []proto.LeaseID{3, 9} {
		c.mustDo(grantOp(id))
		c.mustDo(revokeOp(id))
	}
	log.take()
	key := keys.Lease(5)
	c.mustDo(&pontoonpb.RangeOp{Span: keys.LeaseSpan.Wire(), Op: &pontoonpb.RangeOp_Split{
		Split: &pontoonpb.SplitOp{Key: key, RightRangeId: 10}}})
	c.leader(10)
	var calls []string
	c.wait("the right side's lessor", func() bool {
		calls = append(calls, log.take()...)
		return len(calls) >= 3
	})
	want := fmt.Sprintf("[gained %d 1 gained 10 1 begin 9 0]", proto.UserRange)
	if fmt.Sprint(calls) != want {
		t.Fatalf("the lessor was told %v, want %v", calls, want)
	}
}
