package auth

import (
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/etcd/api/v3/authpb"
	"google.golang.org/protobuf/proto"

	pproto "github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Sender carries an operation on the meta span to the root range's leader.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// records are what the root range holds about auth.
type records struct {
	epoch  uint64
	state  state
	secret []byte
}

// load reads the records at one point of the root range's log.
func load(ctx context.Context, s Sender) (*records, error) {
	// The epoch lies outside of the span, so it is read around it: only
	// together with the records does it change.
	for {
		before, err := loadEpoch(ctx, s)
		if err != nil {
			return nil, err
		}
		raw, err := read(ctx, s, keys.AuthSpan)
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
		r := &records{epoch: after, state: newState()}
		for _, rec := range raw {
			if err := r.add(rec); err != nil {
				return nil, err
			}
		}
		return r, nil
	}
}

func (r *records) add(rec *pontoonpb.SysRecord) error {
	if name, ok := keys.AuthUserOf(rec.Key); ok {
		u := &authpb.User{}
		r.state.users[name] = u
		return unmarshal(rec, u)
	}
	if name, ok := keys.AuthRoleOf(rec.Key); ok {
		role := &authpb.Role{}
		r.state.roles[name] = role
		return unmarshal(rec, role)
	}
	switch string(rec.Key) {
	case string(keys.AuthEnabled):
		r.state.enabled = true
	case string(keys.AuthSecret):
		r.secret = rec.Value
	case string(keys.AuthRevision):
		n, err := number(rec.Value)
		r.state.revision = n
		return err
	}
	return nil
}

func unmarshal(rec *pontoonpb.SysRecord, m proto.Message) error {
	if err := proto.Unmarshal(rec.Value, m); err != nil {
		return fmt.Errorf("auth: record %q: %w", rec.Key[1:], err)
	}
	return nil
}

func loadEpoch(ctx context.Context, s Sender) (uint64, error) {
	raw, err := read(ctx, s, keys.Point(keys.AuthEpoch))
	if err != nil || len(raw) == 0 {
		return 0, err
	}
	return number(raw[0].Value)
}

func number(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("auth: a number has %d bytes", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

func encode(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func read(ctx context.Context, s Sender, span pproto.Span) ([]*pontoonpb.SysRecord, error) {
	reply, err := s.Send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(pproto.RootRange), Span: span.Wire(),
		Op: &pontoonpb.RangeOp_SysRead{SysRead: &pontoonpb.SysReadOp{}},
	})
	if err != nil {
		return nil, err
	}
	return reply.GetSysRead().GetRecords(), nil
}

// change is the write that turns r into next, nil if nothing differs (I1).
func (r *records) change(next *state) (*pontoonpb.SysWriteOp, error) {
	op := &pontoonpb.SysWriteOp{}
	put := func(key, value []byte) { op.Puts = append(op.Puts, &pontoonpb.SysRecord{Key: key, Value: value}) }
	for name, u := range next.users {
		if !proto.Equal(u, r.state.users[name]) {
			b, err := proto.Marshal(u)
			if err != nil {
				return nil, err
			}
			put(keys.AuthUser(name), b)
		}
	}
	for name := range r.state.users {
		if next.users[name] == nil {
			op.Deletes = append(op.Deletes, keys.AuthUser(name))
		}
	}
	for name, role := range next.roles {
		if !proto.Equal(role, r.state.roles[name]) {
			b, err := proto.Marshal(role)
			if err != nil {
				return nil, err
			}
			put(keys.AuthRole(name), b)
		}
	}
	for name := range r.state.roles {
		if next.roles[name] == nil {
			op.Deletes = append(op.Deletes, keys.AuthRole(name))
		}
	}
	switch {
	case next.enabled && !r.state.enabled:
		put(keys.AuthEnabled, []byte{1})
	case !next.enabled && r.state.enabled:
		op.Deletes = append(op.Deletes, keys.AuthEnabled)
	}
	// A permission granted as it was changes nothing but the revision, as in etcd.
	if len(op.Puts)+len(op.Deletes) == 0 && next.revision == r.state.revision {
		return nil, nil
	}
	put(keys.AuthRevision, encode(next.revision))
	put(keys.AuthEpoch, encode(r.epoch+1))
	before := encode(r.epoch)
	if r.epoch == 0 {
		before = nil
	}
	op.Conditions = []*pontoonpb.SysRecord{{Key: keys.AuthEpoch, Value: before}}
	return op, nil
}

func submit(ctx context.Context, s Sender, op *pontoonpb.SysWriteOp) error {
	_, err := s.Send(ctx, &pontoonpb.RangeOp{
		RangeId: uint64(pproto.RootRange), Span: keys.MetaSpan.Wire(),
		Op: &pontoonpb.RangeOp_SysWrite{SysWrite: op},
	})
	return err
}
