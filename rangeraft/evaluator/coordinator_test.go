package evaluator

import (
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// simTxn is a txn over ranges with its coordinator: lock the anchor, lock the
// rest, compute the effects from what was read under the locks, commit,
// resolve, forget. It may die at any step; then the blocked ranges finish it.
type simTxn struct {
	id      *pontoonpb.TxnID
	anchor  []byte
	locks   []*pontoonpb.LockSpan // the first is the anchor's
	revoke  *simLease
	value   string
	read    map[string]*mvccpb.KeyValue // under the locks, nil: not live
	leased  []*mvccpb.KeyValue
	effects []*pontoonpb.Effect
	asked   bool  // sent its commit
	rev     int64 // committed at, as far as it knows
}

func (s *sim) newTxn(i int) {
	t := &simTxn{id: &pontoonpb.TxnID{Node: 1, Boot: 1, Counter: uint64(len(s.txns) + 1)}, value: fmt.Sprint("t", i)}
	var names []string
	for range 1 + s.rnd.IntN(3) {
		names = append(names, s.key())
	}
	slices.Sort(names)
	for _, k := range slices.Compact(names) {
		if s.chance(30) {
			t.locks = append(t.locks, shared(k))
		} else {
			t.locks = append(t.locks, write(k))
		}
	}
	t.anchor = t.locks[0].Span.Start
	s.begin(t)
}

func (s *sim) newRevoke() {
	id := s.someLease()
	if id == 0 || s.leases[id].revoking || !s.leases[id].used && s.chance(80) {
		return
	}
	s.leases[id].revoking = true
	key := keys.Lease(proto.LeaseID(id))
	s.begin(&simTxn{
		id: &pontoonpb.TxnID{Node: 1, Boot: 1, Counter: uint64(len(s.txns) + 1)}, revoke: s.leases[id], anchor: key,
		locks: []*pontoonpb.LockSpan{lockSpan(pontoonpb.LockMode_LOCK_WRITE, keys.Point(key))},
	})
}

func (s *sim) begin(t *simTxn) {
	s.txns = append(s.txns, t)
	t.read = map[string]*mvccpb.KeyValue{}
	s.lock(t, t.locks[0], true, func(reply *pontoonpb.LockReply) {
		if t.revoke != nil {
			// The lease's registered spans say where its keys may be.
			for _, w := range reply.Lease.GetRegistered() {
				for _, r := range s.ranges {
					if part := proto.SpanOf(r.m.desc.Span).Intersect(proto.SpanOf(w)); !part.Empty() {
						t.locks = append(t.locks, leaseLock(t.revoke.id, part))
					}
				}
			}
		}
		s.lockRest(t, 1)
	})
}

// lockRest takes the locks from the i-th on, one after the other.
func (s *sim) lockRest(t *simTxn, i int) {
	if i == len(t.locks) {
		s.commit(t)
		return
	}
	s.lock(t, t.locks[i], false, func(*pontoonpb.LockReply) { s.lockRest(t, i+1) })
}

// lock takes one lock; any failure aborts.
func (s *sim) lock(t *simTxn, what *pontoonpb.LockSpan, anchor bool, next func(*pontoonpb.LockReply)) {
	op := &pontoonpb.LockOp{Txn: t.id, AnchorKey: t.anchor, Anchor: anchor, Locks: []*pontoonpb.LockSpan{what}, Wait: t.revoke != nil || s.chance(50)}
	if t.revoke != nil && anchor {
		op.RevokeLease = t.revoke.id
	}
	k, isUser := keys.UserKey(what.Span.Start)
	if isUser && what.Mode != pontoonpb.LockMode_LOCK_LEASE {
		op.Reads = []*pb.RangeRequest{{Key: k}}
	}
	s.send(s.at(what.Span.Start), &pontoonpb.RangeOp{Span: what.Span, Op: &pontoonpb.RangeOp_Lock{Lock: op}}, nil, func(reply *pontoonpb.RangeReply) {
		switch {
		case s.fault(4): // the coordinator dies
		case reply.Error != nil:
			s.abort(t)
		default:
			for _, q := range reply.GetLock().Reads {
				t.read[string(k)] = nil
				if len(q.Kvs) > 0 {
					t.read[string(k)] = q.Kvs[0]
				}
			}
			t.leased = append(t.leased, reply.GetLock().LeaseKeys...)
			next(reply.GetLock())
		}
	})
}

// plan computes the effects from what was read under the locks.
func (t *simTxn) plan() {
	sub := int64(0)
	add := func(f *pontoonpb.Effect) {
		f.Rev, f.Sub = etcdop.Placeholder, sub
		t.effects = append(t.effects, f)
		sub++
	}
	for _, what := range t.locks {
		k, ok := keys.UserKey(what.Span.Start)
		if !ok || what.Mode != pontoonpb.LockMode_LOCK_WRITE {
			continue
		}
		f := &pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: what.Span.Start, Value: []byte(t.value),
			CreateRevision: etcdop.Placeholder, Version: 1, Fresh: true,
		}
		if prev := t.read[string(k)]; prev != nil {
			f.CreateRevision, f.Version, f.Fresh, f.PrevLease = prev.CreateRevision, prev.Version+1, false, prev.Lease
		}
		add(f)
	}
	for _, kv := range t.leased {
		add(&pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_DELETE, Key: keys.User(kv.Key), PrevLease: kv.Lease, Fresh: true})
	}
}

func (s *sim) commit(t *simTxn) {
	t.plan()
	needs := len(t.effects) > 0
	if t.revoke != nil {
		t.effects = append(t.effects, &pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_SYS, Key: t.anchor,
		})
	}
	t.asked = true
	op := &pontoonpb.CommitOp{Txn: t.id, AnchorKey: t.anchor, NeedsRevision: needs, Effects: t.effects}
	s.send(s.at(t.anchor), &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Commit{Commit: op}}, nil, func(reply *pontoonpb.RangeReply) {
		switch {
		case s.fault(4): // dies without knowing the outcome
		case reply.Error != nil:
			s.abort(t) // only the anchor's record decides (P34)
		default:
			s.outcome(t.id, t.anchor, true, reply.GetCommit().Revision, t.effects, true)
		}
	})
}

// abort asks the anchor for the outcome, making it aborted if it is open.
func (s *sim) abort(t *simTxn) { s.askAnchor(t.id, t.anchor, true) }

func (s *sim) askAnchor(id *pontoonpb.TxnID, anchor []byte, coordinator bool) {
	op := &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Abort{Abort: &pontoonpb.AbortOp{Txn: id, AnchorKey: anchor}}}
	s.send(s.at(anchor), op, nil, func(reply *pontoonpb.RangeReply) {
		if reply.Error != nil {
			if !coordinator {
				return // asked again at the next deadline
			}
			s.later(func() { s.askAnchor(id, anchor, true) })
			return
		}
		rec := reply.GetAbort().Committed
		s.outcome(id, anchor, rec != nil, rec.GetRevision(), rec.GetEffects(), coordinator)
	})
}

// finish is what a blocked leader does (P32).
func (s *sim) finish(_ *simRange, a TxnBlocked) { s.askAnchor(a.Txn, a.AnchorKey, false) }

// outcome resolves every range and then, if the coordinator knows that all
// have confirmed, forgets the record.
func (s *sim) outcome(id *pontoonpb.TxnID, anchor []byte, committed bool, rev int64, effects []*pontoonpb.Effect, coordinator bool) {
	t := s.txns[id.Counter-1]
	if committed {
		t.rev = rev
		if t.revoke != nil {
			t.revoke.revoked = true
		}
	} else if t.revoke != nil {
		t.revoke.revoking = false
	}
	left := 2 * len(letters)
	for _, span := range s.resolveSpans() {
		s.resolve(id, span, committed, rev, effects, func() {
			if left--; left == 0 && coordinator && committed {
				s.send(s.at(anchor), &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Forget{Forget: &pontoonpb.ForgetOp{Txn: id, AnchorKey: anchor}}},
					nil, func(*pontoonpb.RangeReply) {})
			}
		})
	}
	left = len(s.resolveSpans())
}

// resolveSpans divides the keyspace so that no part lies across two ranges,
// splits to come included.
func (s *sim) resolveSpans() []proto.Span {
	out := []proto.Span{keys.LeaseSpan, {Start: keys.UserSpan.Start, End: user("a")}}
	for i := range letters {
		end := keys.Max
		if i+1 < len(letters) {
			end = user(letters[i+1 : i+2])
		}
		out = append(out, proto.Span{Start: user(letters[i : i+1]), End: end})
	}
	return out
}

// resolve repeats until a leader confirmed. Effects go to the range as they
// are; their placeholders stand for the txn's revision.
func (s *sim) resolve(id *pontoonpb.TxnID, span proto.Span, committed bool, rev int64, effects []*pontoonpb.Effect, done func()) {
	op := &pontoonpb.RangeOp{Span: span.Wire(), Op: &pontoonpb.RangeOp_Resolve{Resolve: &pontoonpb.ResolveOp{
		Txn: id, Commit: committed, Revision: rev, Effects: effects,
	}}}
	s.send(s.at(span.Start), op, nil, func(reply *pontoonpb.RangeReply) {
		if reply.Error != nil {
			s.later(func() { s.resolve(id, span, committed, rev, effects, done) })
			return
		}
		done()
	})
}
