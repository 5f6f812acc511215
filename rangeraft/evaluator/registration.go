package evaluator

import (
	"encoding/binary"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// registrations knows which leases may be named by puts of this range.
//
//	unknown --NeedRegistration--> asked --found--> fresh --first put--> SPACE_REG record
//
// The record that counts lies at the start of the range's user span, one per
// lease, so that one look-up finds it; a split copies it to the right side's
// start (P38).
type registrations struct {
	asked map[proto.LeaseID]*registrationAsk
	fresh map[proto.LeaseID]*pontoonpb.LeaseRegistration
}

type registrationAsk struct {
	token   uint64
	span    proto.Span
	waiters []*request
	void    bool // the lease was locked since (P37)
}

func newRegistrations() *registrations {
	return &registrations{
		asked: map[proto.LeaseID]*registrationAsk{},
		fresh: map[proto.LeaseID]*pontoonpb.LeaseRegistration{},
	}
}

// void forgets what the home said or is about to say: a revoke has locked what
// is attached to the lease here (P37).
func (s *registrations) void(lease proto.LeaseID) {
	delete(s.fresh, lease)
	if a := s.asked[lease]; a != nil {
		a.void = true
	}
}

func leaseSuffix(lease proto.LeaseID) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(lease))
}

// registered reads the record that counts for a lease, nil if there is none.
func (e *Evaluator) registered(lease proto.LeaseID) (*pontoonpb.LeaseRegistration, error) {
	value, err := e.record(pontoonpb.Space_SPACE_REG, e.userSpan().Start, leaseSuffix(lease))
	if err != nil || value == nil {
		return nil, err
	}
	reg := &pontoonpb.LeaseRegistration{}
	if err := reg.UnmarshalVT(value); err != nil {
		return nil, err
	}
	return reg, nil
}

// leaseUsable says whether a put of an internal key may name the lease. A
// record that cannot be read is asked for again.
func (e *Evaluator) leaseUsable(r *request, lease proto.LeaseID, key []byte) etcdop.LeaseState {
	reg, err := e.registered(lease)
	switch fresh := e.leases.fresh[lease]; {
	case err == nil && reg != nil && proto.SpanOf(reg.Span).Contains(key):
		return etcdop.LeaseYes
	case fresh != nil && proto.SpanOf(fresh.Span).Contains(key):
		return etcdop.LeaseYes
	case r.noLease[lease]:
		return etcdop.LeaseNo
	}
	return etcdop.LeaseUnknown
}

// needLease sets a request aside until the home answered (P16).
func (e *Evaluator) needLease(r *request, lease proto.LeaseID) {
	a := e.leases.asked[lease]
	if a == nil {
		e.tokens++
		a = &registrationAsk{token: e.tokens, span: e.userSpan()}
		e.leases.asked[lease] = a
		e.emit(NeedRegistration{Token: a.token, Lease: lease, Span: a.span})
	}
	a.waiters = append(a.waiters, r)
}

// Registered hands in the answer to NeedRegistration; found false: the home
// has no such lease.
func (e *Evaluator) Registered(token uint64, incarnation uint64, found bool, err error) {
	if e.failed != nil {
		return
	}
	for lease, a := range e.leases.asked {
		if a.token != token {
			continue
		}
		delete(e.leases.asked, lease)
		e.leaseAnswered(lease, a, incarnation, found, err)
		return
	}
}

func (e *Evaluator) leaseAnswered(lease proto.LeaseID, a *registrationAsk, incarnation uint64, found bool, err error) {
	switch {
	case err != nil:
		for _, r := range a.waiters {
			e.refuse(r, proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "register lease: %v", err))
		}
	case found && !a.void:
		e.leases.fresh[lease] = &pontoonpb.LeaseRegistration{
			Lease: int64(lease), Incarnation: incarnation, Span: a.span.Wire(),
		}
	case !found:
		for _, r := range a.waiters {
			if r.noLease == nil {
				r.noLease = map[proto.LeaseID]bool{}
			}
			r.noLease[lease] = true
		}
	}
	e.requeue(a.waiters...) // if void, they ask again
}

// registerUsed records the registrations that puts rely on for the first time,
// in the same entry as the put.
func (e *Evaluator) registerUsed(b *batch, effects []*pontoonpb.Effect) {
	for _, f := range effects {
		reg := e.leases.fresh[proto.LeaseID(f.Lease)]
		if f.Kind != pontoonpb.EffectKind_EFFECT_PUT || reg == nil {
			continue
		}
		delete(e.leases.fresh, proto.LeaseID(f.Lease))
		e.write(b, regPut(e.userSpan().Start, reg))
	}
}

func regPut(key []byte, reg *pontoonpb.LeaseRegistration) *pontoonpb.Effect {
	return &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_REG,
		Key: key, Suffix: leaseSuffix(proto.LeaseID(reg.Lease)), Value: marshal(reg),
	}
}

func regDelete(key, suffix []byte) *pontoonpb.Effect {
	return &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_REG, Key: key, Suffix: suffix,
	}
}

// unregister removes the registration of a revoked lease.
func (e *Evaluator) unregister(b *batch, lease proto.LeaseID) {
	e.write(b, regDelete(e.userSpan().Start, leaseSuffix(lease)))
}

// splitRegistrations cuts every registration at key (P38). Records that do not
// count are dropped, or a later split at their key would revive them.
func (e *Evaluator) splitRegistrations(key []byte) ([]*pontoonpb.Effect, error) {
	var effects []*pontoonpb.Effect
	var bad error
	start := e.userSpan().Start
	left, right := proto.Span{Start: start, End: key}, proto.Span{Start: key, End: keys.Max}
	err := e.opts.State.Locals(pontoonpb.Space_SPACE_REG, e.span, func(at, suffix, value []byte) bool {
		reg := &pontoonpb.LeaseRegistration{}
		if bad = reg.UnmarshalVT(value); bad != nil {
			return false
		}
		effects = append(effects, regDelete(at, suffix))
		if string(at) != string(start) {
			return true
		}
		for _, side := range []proto.Span{left, right} {
			if part := side.Intersect(proto.SpanOf(reg.Span)); !part.Empty() {
				effects = append(effects, regPut(side.Start, &pontoonpb.LeaseRegistration{
					Lease: reg.Lease, Incarnation: reg.Incarnation, Span: part.Wire(),
				}))
			}
		}
		return true
	})
	if err == nil {
		err = bad
	}
	return effects, err
}
