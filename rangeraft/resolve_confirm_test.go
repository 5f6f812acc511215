package rangeraft

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// scriptedRanges answers for all ranges of a committed txn, and refuses to
// resolve some keys.
type scriptedRanges struct {
	record *pontoonpb.TxnRecord
	refuse map[string]error
	wire   bool // the refusal comes in the reply
	sent   []string
}

func (s *scriptedRanges) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	key, _ := keys.UserKey(op.Span.Start)
	switch op.Op.(type) {
	case *pontoonpb.RangeOp_Abort:
		s.sent = append(s.sent, "abort "+string(key))
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Abort{Abort: &pontoonpb.AbortReply{Committed: s.record}}}, nil
	case *pontoonpb.RangeOp_Forget:
		s.sent = append(s.sent, "forget "+string(key))
		return &pontoonpb.RangeReply{}, nil
	}
	s.sent = append(s.sent, "resolve "+string(key))
	err := s.refuse[string(key)]
	if err != nil && s.wire {
		return &pontoonpb.RangeReply{Error: proto.ToWire(err)}, nil
	}
	return &pontoonpb.RangeReply{}, err
}

// P31: the record of a committed txn stays until every participant confirmed,
// whichever fails and however it says so: without the record its locks would
// be removed as those of an aborted txn, and its writes with them.
func TestRecordOutlivesUnconfirmedParticipant_P31(t *testing.T) {
	record := &pontoonpb.TxnRecord{Revision: 7, Participants: []*pontoonpb.Span{
		userPoint("a").Wire(), userPoint("m").Wire(), userPoint("x").Wire()}}
	blocked := evaluator.TxnBlocked{Txn: &pontoonpb.TxnID{Counter: 1}, AnchorKey: userPoint("a").Start, Span: userPoint("b")}
	for _, failing := range []string{"b", "a", "m", "x"} {
		for _, wire := range []bool{false, true} {
			f := &scriptedRanges{record: record, wire: wire, refuse: map[string]error{failing: unavailable("away")}}
			s := &Store{opts: Options{Resolver: f}}
			if outcome, err := s.finishTxn(context.Background(), blocked); err == nil {
				t.Errorf("%s did not confirm, yet the txn is %s", failing, outcome)
			}
			if want := "[abort a resolve b resolve a resolve m resolve x]"; fmt.Sprint(f.sent) != want {
				t.Errorf("%s did not confirm: sent %v, want %v", failing, f.sent, want)
			}
		}
	}
	f := &scriptedRanges{record: record}
	s := &Store{opts: Options{Resolver: f}}
	outcome, err := s.finishTxn(context.Background(), blocked)
	if err != nil || outcome != "committed" || f.sent[len(f.sent)-1] != "forget a" {
		t.Errorf("all confirmed: %s, %v, sent %v", outcome, err, f.sent)
	}
	f.refuse = map[string]error{"b": errors.New("no connection")}
	f.record = nil
	if _, err := s.finishTxn(context.Background(), blocked); err == nil {
		t.Error("the locks of an aborted txn were not removed, yet it is finished")
	}
}
