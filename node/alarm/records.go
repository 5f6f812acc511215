package alarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// alarm is one raised alarm; comparable.
type alarm struct {
	kind   pb.AlarmType
	member uint64
}

func (a alarm) wire() *pb.AlarmMember { return &pb.AlarmMember{MemberID: a.member, Alarm: a.kind} }

// Set is what is raised as of one epoch. It does not change.
type Set struct {
	epoch     uint64
	alarms    []alarm // by kind, then member
	downgrade string  // version that a downgrade is enabled for; empty: none
}

// Raised reports whether an alarm of the kind is raised, of whatever member.
func (s *Set) Raised(kind pb.AlarmType) bool {
	return slices.ContainsFunc(s.alarms, func(a alarm) bool { return a.kind == kind })
}

// List returns the alarms of a kind, those of all kinds for NONE.
func (s *Set) List(kind pb.AlarmType) (list []*pb.AlarmMember) {
	for _, a := range s.alarms {
		if kind == pb.AlarmType_NONE || a.kind == kind {
			list = append(list, a.wire())
		}
	}
	return list
}

func (s *Set) has(a alarm) bool {
	return slices.Contains(s.alarms, a)
}

// key is of the record of one alarm, and says everything.
func (a alarm) key() []byte { return keys.Alarm(int32(a.kind), a.member) }

// load reads the alarms at one point of the root range's log: the epoch changes
// only together with them, so it is read around them.
func load(ctx context.Context, s Sender) (*Set, error) {
	for {
		before, err := loadEpoch(ctx, s)
		if err != nil {
			return nil, err
		}
		raw, err := read(ctx, s, keys.AlarmSpan)
		if err != nil {
			return nil, err
		}
		target, err := read(ctx, s, keys.Point(keys.Downgrade))
		if err != nil {
			return nil, err
		}
		after, err := loadEpoch(ctx, s)
		if err != nil {
			return nil, err
		}
		if before != after {
			continue
		}
		set := &Set{epoch: after}
		for _, rec := range target {
			set.downgrade = string(rec.Value)
		}
		for _, rec := range raw {
			kind, member, ok := keys.AlarmOf(rec.Key)
			if !ok {
				return nil, fmt.Errorf("alarm: record %q", rec.Key[1:])
			}
			set.alarms = append(set.alarms, alarm{pb.AlarmType(kind), member})
		}
		return set, nil
	}
}

func loadEpoch(ctx context.Context, s Sender) (uint64, error) {
	raw, err := read(ctx, s, keys.Point(keys.AlarmEpoch))
	if err != nil || len(raw) == 0 {
		return 0, err
	}
	if len(raw[0].Value) != 8 {
		return 0, fmt.Errorf("alarm: epoch of %d bytes", len(raw[0].Value))
	}
	return binary.BigEndian.Uint64(raw[0].Value), nil
}

func read(ctx context.Context, s Sender, span proto.Span) ([]*pontoonpb.SysRecord, error) {
	reply, err := s.Send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(proto.RootRange), Span: span.Wire(),
		Op: &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{}},
	})
	if err != nil {
		return nil, err
	}
	return reply.GetSysRead().GetRecords(), nil
}

// change is the write that turns s into next, valid only over s (I1).
func (s *Set) change(next *Set) *pontoonpb.SysWriteOp {
	before := encode(s.epoch)
	if s.epoch == 0 {
		before = nil
	}
	op := &pontoonpb.SysWriteOp{
		Puts:       []*pontoonpb.SysRecord{{Key: keys.AlarmEpoch, Value: encode(next.epoch)}},
		Conditions: []*pontoonpb.SysRecord{{Key: keys.AlarmEpoch, Value: before}},
	}
	for _, a := range next.alarms {
		if !s.has(a) {
			op.Puts = append(op.Puts, &pontoonpb.SysRecord{Key: a.key(), Value: []byte{1}})
		}
	}
	for _, a := range s.alarms {
		if !next.has(a) {
			op.Deletes = append(op.Deletes, a.key())
		}
	}
	switch {
	case next.downgrade == s.downgrade:
	case next.downgrade == "":
		op.Deletes = append(op.Deletes, keys.Downgrade)
	default:
		op.Puts = append(op.Puts, &pontoonpb.SysRecord{Key: keys.Downgrade, Value: []byte(next.downgrade)})
	}
	return op
}

func encode(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// with is the set that follows s, with an alarm raised or taken away.
func (s *Set) with(a alarm, raise bool) *Set {
	next := &Set{epoch: s.epoch + 1, downgrade: s.downgrade}
	next.alarms = slices.DeleteFunc(slices.Clone(s.alarms), func(b alarm) bool { return a == b })
	if raise {
		next.alarms = append(next.alarms, a)
		slices.SortFunc(next.alarms, func(a, b alarm) int { return bytes.Compare(a.key(), b.key()) })
	}
	return next
}

// downgraded is the set that follows s, with another downgrade target.
func (s *Set) downgraded(target string) *Set {
	return &Set{epoch: s.epoch + 1, alarms: s.alarms, downgrade: target}
}
