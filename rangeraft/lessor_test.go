package rangeraft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// lessorLog is a lessor that writes down what it is told.
type lessorLog struct {
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
	return nil, errors.New("not here")
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
