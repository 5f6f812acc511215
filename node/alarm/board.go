package alarm

import (
	"context"
	"log/slog"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Board is what a node knows of the alarms.
type Board struct {
	sender Sender
	epochs Epochs
	log    *slog.Logger
	set    atomic.Pointer[Set] // nil until read once (I3)
	turn   chan struct{}       // one token: a read is under way
}

// NewBoard returns a board that has not read anything yet.
func NewBoard(sender Sender, epochs Epochs, log *slog.Logger) *Board {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Board{sender: sender, epochs: epochs, log: log, turn: make(chan struct{}, 1)}
}

// Known returns the alarms as last read, without asking anybody.
func (b *Board) Known() []*pb.AlarmMember {
	if s := b.set.Load(); s != nil {
		return s.List(pb.AlarmType_NONE)
	}
	return nil
}

func (b *Board) fresh() bool {
	s := b.set.Load()
	return s != nil && s.epoch >= b.epochs.AlarmEpoch()
}

// Current returns the alarms of the newest epoch heard of, reading them if need
// be.
func (b *Board) Current(ctx context.Context) (*Set, error) {
	for {
		if s := b.set.Load(); s != nil && s.epoch >= b.epochs.AlarmEpoch() {
			return s, nil
		}
		select {
		case b.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		var err error
		if !b.fresh() { // nobody else did
			err = b.reload(ctx)
		}
		<-b.turn
		if err != nil {
			return nil, proto.ClientError(err)
		}
	}
}

func (b *Board) reload(ctx context.Context) error {
	s, err := load(ctx, b.sender)
	if err == nil {
		b.keep(s)
	}
	return err
}

// keep takes a newer set in.
func (b *Board) keep(s *Set) {
	for {
		have := b.set.Load()
		if have != nil && have.epoch >= s.epoch {
			return
		}
		if b.set.CompareAndSwap(have, s) {
			if len(s.alarms) > 0 || have != nil {
				b.log.Warn("alarms", "epoch", s.epoch, "raised", s.List(pb.AlarmType_NONE))
			}
			return
		}
	}
}

// update changes the records until fn, which sees them as they are, wants
// nothing else. It returns once every read revision that is asked for later
// comes with the change (P9).
func (b *Board) update(ctx context.Context, fn func(*Set) (*Set, error)) error {
	for {
		s, err := load(ctx, b.sender)
		if err != nil {
			return proto.ClientError(err)
		}
		b.keep(s)
		next, err := fn(s)
		if err != nil || next == s {
			return err
		}
		_, err = b.sender.Send(ctx, &pontoonpb.RangeOp{
			RangeId: uint64(proto.RootRange), Span: keys.MetaSpan.Wire(),
			Op: &pontoonpb.RangeOp_SysWrite{SysWrite: s.change(next)},
		})
		if err == nil {
			b.keep(next)
			return nil
		}
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED) {
			return proto.ClientError(err)
		}
	}
}

// Do carries out what etcd's Alarm call asks for and returns the alarms that it
// answers with: those listed, or the one raised or taken away. An alarm that is
// raised already is answered again, one that was not raised is not.
func (b *Board) Do(ctx context.Context, r *pb.AlarmRequest) ([]*pb.AlarmMember, error) {
	switch r.Action {
	case pb.AlarmRequest_GET:
		s, err := b.confirmed(ctx)
		if err != nil {
			return nil, err
		}
		return s.List(r.Alarm), nil
	case pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_DEACTIVATE:
	default: // etcd falls over
		return nil, status.Error(codes.Unknown, "etcdserver: unknown method")
	}
	if r.Alarm == pb.AlarmType_NONE {
		return nil, nil
	}
	a, raise := alarm{r.Alarm, r.MemberID}, r.Action == pb.AlarmRequest_ACTIVATE
	var answer []*pb.AlarmMember
	err := b.update(ctx, func(s *Set) (*Set, error) {
		answer = []*pb.AlarmMember{a.wire()}
		if s.has(a) != raise {
			return s.with(a, raise), nil
		}
		if !raise {
			answer = nil
		}
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// confirmed returns the alarms of an epoch no older than the call.
func (b *Board) confirmed(ctx context.Context) (*Set, error) {
	if err := b.epochs.Confirm(ctx); err != nil {
		return nil, proto.ClientError(err)
	}
	return b.Current(ctx)
}

// Raise raises an alarm, in the name of a node.
func (b *Board) Raise(ctx context.Context, member proto.NodeID, kind pb.AlarmType) error {
	_, err := b.Do(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: uint64(member), Alarm: kind})
	return err
}
