package txn

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// forgetful lets every txn commit at 7; the range from c to e is away when the
// first outcomes are carried to it.
type forgetful struct {
	mu       sync.Mutex
	away     int
	resolved map[string]bool
	atForget chan map[string]bool // what had confirmed
}

func (f *forgetful) Cover(_ context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error) {
	var over []*pontoonpb.Descriptor
	for _, d := range threeRanges() {
		if proto.SpanOf(d.Span).Overlaps(span) {
			over = append(over, d)
		}
	}
	return over, nil
}

func (f *forgetful) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case op.GetLock() != nil:
		return locked(Call{Op: op}), nil
	case op.GetCommit() != nil:
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Commit{Commit: &pontoonpb.CommitReply{Revision: 7}}}, nil
	case op.GetResolve() != nil:
		key, _ := keys.UserKey(op.Span.Start)
		if string(key) == "d" && f.away > 0 {
			f.away--
			return nil, failed(pontoonpb.RangeErrorCode_UNAVAILABLE)
		}
		f.resolved[string(key)] = true
	case op.GetForget() != nil:
		confirmed := map[string]bool{}
		for k := range f.resolved {
			confirmed[k] = true
		}
		f.atForget <- confirmed
	}
	return &pontoonpb.RangeReply{}, nil
}

// branch says which one the compares choose.
type branch etcdop.Path

func (b branch) TryRead(context.Context, *pb.RequestOp) (*pb.ResponseOp, etcdop.Path, error) {
	return nil, etcdop.Path(b), nil
}

// P31: the record goes only after every participant confirmed. A range that was
// away when the client got its answer is told later, while the record stands.
func TestRecordOutlivesUnconfirmedParticipant(t *testing.T) {
	f := &forgetful{away: 3, resolved: map[string]bool{}, atForget: make(chan map[string]bool, 1)}
	c := New(Options{Sender: f, Reader: branch{true}, Logger: slog.New(slog.DiscardHandler)})
	defer c.Close()
	_, rev, err := c.Run(t.Context(), &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{
		RequestTxn: &pb.TxnRequest{Success: puts("a", "d", "f")},
	}})
	if err != nil || rev != 7 {
		t.Fatal(rev, err)
	}
	confirmed := <-f.atForget
	if !confirmed["d"] || !confirmed["f"] || f.away != 0 {
		t.Errorf("the record was forgotten when only %v had confirmed", confirmed)
	}
}
