package auth

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// withSecret returns rules that can sign simple tokens. A cluster that was
// restored from a backup has users but no secret: the backup has none, and what
// could be computed from it would let every reader of the backup in.
func (s *Service) withSecret(ctx context.Context, rules *Rules) (*Rules, error) {
	for len(rules.secret) == 0 {
		recs, err := load(ctx, s.guard.sender)
		if err != nil {
			return nil, proto.ClientError(err)
		}
		if len(recs.secret) == 0 {
			err = submit(ctx, s.guard.sender, makeSecret(recs.epoch))
			if err != nil && !proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
				return nil, proto.ClientError(err)
			}
		}
		if rules, err = s.guard.Confirmed(ctx); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// makeSecret writes one under a new epoch, so that every gateway takes it in.
// Of several at once one is taken.
func makeSecret(epoch uint64) *pontoonpb.SysWriteOp {
	before := encode(epoch)
	if epoch == 0 {
		before = nil
	}
	return &pontoonpb.SysWriteOp{
		Puts: []*pontoonpb.SysRecord{
			{Key: keys.AuthSecret, Value: newSecret()}, {Key: keys.AuthEpoch, Value: encode(epoch + 1)},
		},
		Conditions: []*pontoonpb.SysRecord{{Key: keys.AuthEpoch, Value: before}},
	}
}
