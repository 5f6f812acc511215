package rangeraft

import (
	"context"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// seedOps are operations as gateways send them.
func seedOps() []*pontoonpb.RangeOp {
	user := keys.UserSpan.Wire()
	id := uint64(proto.UserRange)
	return []*pontoonpb.RangeOp{
		{},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Lock{Lock: &pontoonpb.LockOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Split{Split: &pontoonpb.SplitOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{}}},
		{RangeId: 1, Span: keys.MetaSpan.Wire(), Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: &pontoonpb.ChangeReplicasOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Merge{Merge: &pontoonpb.MergeOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_MergeStep{MergeStep: &pontoonpb.MergeStepOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Lease{Lease: &pontoonpb.LeaseOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_LeaseKeys{LeaseKeys: &pontoonpb.LeaseKeysOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_History{History: &pontoonpb.HistoryOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Hash{Hash: &pontoonpb.HashOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Compact{Compact: &pontoonpb.CompactOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_Checksum{Checksum: &pontoonpb.ChecksumOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_SplitPoint{SplitPoint: &pontoonpb.SplitPointOp{}}},
		{RangeId: id, Span: user, Op: &pontoonpb.RangeOp_WaitApplied{WaitApplied: &pontoonpb.WaitAppliedOp{}}},
	}
}

// FuzzOperation gives a replica what may be any operation of another node: it is
// answered, and the store goes on.
func FuzzOperation(f *testing.F) {
	for _, op := range seedOps() {
		b, err := op.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := newCluster(f, 1, nil)
	c.put("a", "1")
	s := wire{c.nodes[1].store}
	f.Fuzz(func(t *testing.T, b []byte) {
		op := &pontoonpb.RangeOp{}
		if op.UnmarshalVT(b) != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if s.Do(ctx, op) == nil {
			t.Fatal("no answer")
		}
	})
}

// FuzzFrame gives a store what may be any frame of the stream between nodes but
// raft's messages, whose library takes its peers' word: closed revisions,
// heartbeats of what sleeps, pushes.
func FuzzFrame(f *testing.F) {
	for _, frame := range []*pontoonpb.RaftFrame{
		{}, {PushRevision: 5}, {Closed: []*pontoonpb.ClosedUpdate{{}}}, {Liveness: &pontoonpb.Liveness{}},
		{Messages: []*pontoonpb.RaftMessage{{RangeId: 3, ToReplica: 1, Message: []byte{1}}}},
	} {
		b, err := frame.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := newCluster(f, 1, nil)
	w := wire{c.nodes[1].store}
	f.Fuzz(func(_ *testing.T, b []byte) {
		frame := &pontoonpb.RaftFrame{}
		if frame.UnmarshalVT(b) != nil {
			return
		}
		for _, m := range frame.Messages {
			decodeMessage(m.Message)
		}
		frame.Messages = nil
		w.RaftFrame(9, 1, frame)
		w.RaftStreamEnded(9, 1)
	})
}
