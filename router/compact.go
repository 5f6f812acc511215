package router

import (
	"context"
	"encoding/binary"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Compact implements etcdserverpb.KVServer. The floor is a record of the root
// range; it is answered after apply there, so that every read revision asked
// for later comes with it (P9).
func (kv *KV) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	bounded, cancel := kv.bounded(ctx)
	defer cancel()
	current, err := kv.raiseFloor(bounded, r.Revision)
	if err == nil && r.Physical {
		err = kv.dropAll(ctx, r.Revision) // as long as the client waits
	}
	if err != nil {
		return nil, clientError(ctx, err)
	}
	return &pb.CompactionResponse{Header: kv.fill(nil, current)}, nil
}

// raiseFloor writes the floor if it is above the old one and not in the
// future. Of two at once one sees the other's record and decides again.
func (kv *KV) raiseFloor(ctx context.Context, floor int64) (proto.Revision, error) {
	for {
		old, value, err := kv.readFloor(ctx)
		if err != nil {
			return 0, err
		}
		at, err := kv.sequencer.ReadRevision(ctx)
		switch {
		case err != nil:
			return 0, err
		case floor <= old:
			return 0, rpctypes.ErrGRPCCompacted
		case floor > int64(at.Revision):
			return 0, rpctypes.ErrGRPCFutureRev
		}
		_, err = kv.sender.Send(ctx, &pontoonpb.RangeOp{
			Span: keys.Point(keys.Floor).Wire(),
			Op: &pontoonpb.RangeOp_SysWrite{SysWrite: &pontoonpb.SysWriteOp{
				Puts: []*pontoonpb.SysRecord{{
					Key: keys.Floor, Value: binary.BigEndian.AppendUint64(nil, uint64(floor)),
				}},
				Conditions: []*pontoonpb.SysRecord{{Key: keys.Floor, Value: value}},
			}},
		})
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
			return at.Revision, err
		}
	}
}

// readFloor returns the recorded floor and the record, nil if never compacted.
func (kv *KV) readFloor(ctx context.Context) (int64, []byte, error) {
	reply, err := kv.sender.Send(ctx, &pontoonpb.RangeOp{
		Span: keys.Point(keys.Floor).Wire(), Op: &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{Limit: 1}},
	})
	if err != nil {
		return 0, nil, err
	}
	for _, rec := range reply.GetSysRead().GetRecords() {
		if len(rec.Value) == 8 {
			return int64(binary.BigEndian.Uint64(rec.Value)), rec.Value, nil
		}
	}
	return int64(proto.NeverCompacted), nil, nil
}

// dropAll brings the floor to every range of user keys and waits until what is
// below it has been dropped there.
func (kv *KV) dropAll(ctx context.Context, floor int64) error {
	descs, err := kv.sender.Cover(ctx, keys.UserSpan)
	if err != nil {
		return err
	}
	return inParallel(ctx, len(descs), func(ctx context.Context, i int) error {
		_, err := kv.sender.Send(ctx, &pontoonpb.RangeOp{
			Span: keys.Point(descs[i].Span.Start).Wire(),
			Op:   &pontoonpb.RangeOp_Compact{Compact: &pontoonpb.CompactOp{Floor: floor, WaitDropped: true}},
		})
		return err
	})
}
