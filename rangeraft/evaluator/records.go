package evaluator

import (
	"bytes"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// marshal encodes a record for the engine.
func marshal(m interface{ MarshalVT() ([]byte, error) }) []byte {
	data, err := m.MarshalVT()
	invariant(err == nil, "records can be encoded")
	return data
}

func sysPut(key, value []byte) *pontoonpb.Effect {
	return &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_SYS, Key: key, Value: value,
	}
}

// evalSysWrite writes meta or lease records if all conditions hold.
func (e *Evaluator) evalSysWrite(b *batch, op *pontoonpb.SysWriteOp) (*member, error) {
	var effects []*pontoonpb.Effect
	for _, p := range op.Puts {
		effects = append(effects, sysPut(p.Key, p.Value))
	}
	for _, key := range op.Deletes {
		effects = append(effects, &pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_SYS, Key: key,
		})
	}
	for _, f := range effects {
		if !e.span.Contains(f.Key) {
			return nil, e.mismatch()
		}
		if err := e.free(txnKey{}, keys.Point(f.Key), true); err != nil {
			return nil, err
		}
	}
	for _, c := range op.Conditions {
		if !e.span.Contains(c.Key) {
			return nil, e.mismatch()
		}
		value, err := e.record(pontoonpb.Space_SPACE_SYS, c.Key, nil)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(value, c.Value) {
			return nil, proto.Errorf(pontoonpb.RangeErrorCode_CONDITION_FAILED, "record %q is another", c.Key)
		}
	}
	e.write(b, effects...)
	return &member{
		mutates: len(effects) > 0,
		reply:   &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysWrite{SysWrite: &pontoonpb.SysWriteReply{}}},
	}, nil
}

// evalCompact records the compaction floor in the range's log (P41).
func (e *Evaluator) evalCompact(b *batch, op *pontoonpb.CompactOp) (*member, error) {
	m := &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Compact{Compact: &pontoonpb.CompactReply{}}}}
	if proto.Revision(op.Floor) > e.opts.State.Floor() {
		e.write(b, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_FLOOR, Rev: op.Floor})
		m.mutates = true
	}
	return m, nil
}

func (e *Evaluator) leaseRecord(id proto.LeaseID) (*pontoonpb.LeaseRecord, error) {
	value, err := e.record(pontoonpb.Space_SPACE_SYS, keys.Lease(id), nil)
	if err != nil || value == nil {
		return nil, err
	}
	record := &pontoonpb.LeaseRecord{}
	if err := record.UnmarshalVT(value); err != nil {
		return nil, fmt.Errorf("lease record: %w", err)
	}
	return record, nil
}

// evalLease evaluates the lease operations that write; the others are the
// lessor's.
func (e *Evaluator) evalLease(b *batch, op *pontoonpb.LeaseOp) (*member, error) {
	switch op.Kind {
	case pontoonpb.LeaseOpKind_LEASE_GRANT:
		return e.evalGrant(b, op)
	case pontoonpb.LeaseOpKind_LEASE_REGISTER:
		return e.evalRegister(b, op)
	case pontoonpb.LeaseOpKind_LEASE_CHECKPOINT:
		return e.evalCheckpoint(b, op)
	}
	return nil, refusef("lease operation %s is not evaluated", op.Kind)
}

func (e *Evaluator) leaseMember(record *pontoonpb.LeaseRecord) *member {
	reply := &pontoonpb.LeaseReply{Record: record, TtlSeconds: record.GetTtlSeconds(), Revision: int64(e.seenNow())}
	return &member{reply: &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Lease{Lease: reply}}}
}

func (e *Evaluator) evalGrant(b *batch, op *pontoonpb.LeaseOp) (*member, error) {
	id := proto.LeaseID(op.Id)
	if !e.span.Contains(keys.Lease(id)) {
		return nil, e.mismatch()
	}
	if err := e.free(txnKey{}, keys.Point(keys.Lease(id)), true); err != nil {
		return nil, err
	}
	switch record, err := e.leaseRecord(id); {
	case err != nil:
		return nil, err
	case record != nil:
		return nil, rpctypes.ErrGRPCLeaseExist
	}
	record := &pontoonpb.LeaseRecord{Id: op.Id, TtlSeconds: op.TtlSeconds, Incarnation: op.Incarnation, Registered: op.Register}
	e.write(b, sysPut(keys.Lease(id), marshal(record)))
	m := e.leaseMember(record)
	m.mutates = true
	return m, nil
}

// evalRegister notes that spans may hold keys of the lease. It waits only for
// a revoke; a shared lock on the lease promises its existence, no more.
func (e *Evaluator) evalRegister(b *batch, op *pontoonpb.LeaseOp) (*member, error) {
	id := proto.LeaseID(op.Id)
	if !e.span.Contains(keys.Lease(id)) {
		return nil, e.mismatch()
	}
	if err := e.free(txnKey{}, keys.Point(keys.Lease(id)), false); err != nil {
		return nil, err
	}
	record, err := e.leaseRecord(id)
	if err != nil {
		return nil, err
	}
	if record == nil {
		return nil, rpctypes.ErrGRPCLeaseNotFound
	}
	m := e.leaseMember(record)
	if merged, changed := addSpans(record.Registered, op.Register); changed {
		record.Registered = merged
		e.write(b, sysPut(keys.Lease(id), marshal(record)))
		m.mutates = true
	}
	return m, nil
}

// addSpans adds spans to a list of spans, leaving out what is covered.
func addSpans(list, more []*pontoonpb.Span) ([]*pontoonpb.Span, bool) {
	changed := false
	for _, w := range more {
		s := proto.SpanOf(w)
		if s.Empty() || coveredBy(list, s) {
			continue
		}
		kept := []*pontoonpb.Span{w}
		for _, o := range list {
			if !s.Covers(proto.SpanOf(o)) {
				kept = append(kept, o)
			}
		}
		list, changed = kept, true
	}
	return list, changed
}

func coveredBy(list []*pontoonpb.Span, s proto.Span) bool {
	for _, o := range list {
		if proto.SpanOf(o).Covers(s) {
			return true
		}
	}
	return false
}

// evalCheckpoint stores remaining times, as far as the leases exist and are
// not being revoked.
func (e *Evaluator) evalCheckpoint(b *batch, op *pontoonpb.LeaseOp) (*member, error) {
	var effects []*pontoonpb.Effect
	for _, c := range op.Checkpoints {
		key := keys.Lease(proto.LeaseID(c.Id))
		if !e.span.Contains(key) || e.free(txnKey{}, keys.Point(key), false) != nil {
			continue
		}
		record, err := e.leaseRecord(proto.LeaseID(c.Id))
		if err != nil {
			return nil, err
		}
		if record != nil && record.RemainingSeconds != c.RemainingSeconds {
			record.RemainingSeconds = c.RemainingSeconds
			effects = append(effects, sysPut(key, marshal(record)))
		}
	}
	e.write(b, effects...)
	m := e.leaseMember(nil)
	m.mutates = len(effects) > 0
	return m, nil
}
