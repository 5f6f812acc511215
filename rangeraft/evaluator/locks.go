package evaluator

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// txnKey identifies a txn; it is a comparable TxnID. The zero value is no txn.
type txnKey struct{ node, boot, counter uint64 }

func keyOf(id *pontoonpb.TxnID) txnKey {
	return txnKey{id.GetNode(), id.GetBoot(), id.GetCounter()}
}

func (t txnKey) wire() *pontoonpb.TxnID {
	return &pontoonpb.TxnID{Node: t.node, Boot: t.boot, Counter: t.counter}
}

// bytes is the suffix of the txn's records.
func (t txnKey) bytes() []byte {
	s := binary.BigEndian.AppendUint64(make([]byte, 0, 28), t.node)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(s, t.boot), t.counter)
}

// held is a lock from its evaluation to the apply of its removal.
//
//	evaluated --> applied --> removal evaluated --> removal applied
//	|<------- conflicts with later requests --->|
//	              |<---------- read gate waits for it ---------->|
type held struct {
	lock      *pontoonpb.Lock
	txn       txnKey
	span      proto.Span
	ordinal   uint32 // distinguishes the txn's locks
	addedBy   uint64 // batch; 0: loaded
	applied   bool
	removedBy uint64 // batch that removes it; 0: none
	committed bool   // removed by a commit
	gone      bool
	revoke    proto.LeaseID // begun with the lessor
	askAt     time.Duration // when to ask its anchor (P32)
	waiters   []*request
}

func (h *held) mode() pontoonpb.LockMode { return h.lock.GetWhat().GetMode() }

func (h *held) lease() proto.LeaseID { return proto.LeaseID(h.lock.GetWhat().GetLease()) }

// suffix distinguishes the lock's record from others at the same key.
func (h *held) suffix() []byte { return binary.BigEndian.AppendUint32(h.txn.bytes(), h.ordinal) }

// holdsClosed: the txn may still write below the lock at a revision above its
// floor (P30).
func (h *held) holdsClosed() bool { return h.mode() != pontoonpb.LockMode_LOCK_SHARED }

func (h *held) writes() bool { return h.mode() == pontoonpb.LockMode_LOCK_WRITE }

// covers reports whether the lock lets its txn write the effect at rev (P31).
func (h *held) covers(span proto.Span, rev int64) bool {
	return h.holdsClosed() && h.lock.Floor < rev && h.span.Covers(span)
}

// lockTable holds the locks of the range: those on one key in key order, the
// few on spans and leases in a list.
type lockTable struct {
	points *btree.BTreeG[*lockPoint]
	spans  []*held
	txns   map[txnKey][]*held
}

type lockPoint struct {
	key   []byte
	locks []*held
}

func newLockTable() *lockTable {
	return &lockTable{
		points: newTree(func(a, b *lockPoint) bool { return bytes.Compare(a.key, b.key) < 0 }),
		txns:   map[txnKey][]*held{},
	}
}

func (h *held) isPoint() bool {
	return h.mode() != pontoonpb.LockMode_LOCK_LEASE && bytes.Equal(h.span.End, keys.Next(h.span.Start))
}

func (t *lockTable) add(h *held) {
	t.txns[h.txn] = append(t.txns[h.txn], h)
	if !h.isPoint() {
		t.spans = append(t.spans, h)
		return
	}
	p, ok := t.points.Get(&lockPoint{key: h.span.Start})
	if !ok {
		p = &lockPoint{key: h.span.Start}
		t.points.ReplaceOrInsert(p)
	}
	p.locks = append(p.locks, h)
}

func (t *lockTable) remove(h *held) {
	is := func(o *held) bool { return o == h }
	if t.txns[h.txn] = slices.DeleteFunc(t.txns[h.txn], is); len(t.txns[h.txn]) == 0 {
		delete(t.txns, h.txn)
	}
	t.spans = slices.DeleteFunc(t.spans, is)
	if p, ok := t.points.Get(&lockPoint{key: h.span.Start}); ok {
		if p.locks = slices.DeleteFunc(p.locks, is); len(p.locks) == 0 {
			t.points.Delete(p)
		}
	}
}

// overlapping calls fn for the locks that overlap span, in a fixed order,
// until it returns false.
func (t *lockTable) overlapping(span proto.Span, fn func(*held) bool) {
	more := true
	t.points.AscendRange(&lockPoint{key: span.Start}, &lockPoint{key: span.End}, func(p *lockPoint) bool {
		for _, h := range p.locks {
			if more = fn(h); !more {
				return false
			}
		}
		return true
	})
	for _, h := range t.spans {
		if !more {
			return
		}
		if h.span.Overlaps(span) {
			more = fn(h)
		}
	}
}

// of returns the txn's locks that are not being removed.
func (t *lockTable) of(txn txnKey) []*held {
	var out []*held
	for _, h := range t.txns[txn] {
		if h.removedBy == 0 {
			out = append(out, h)
		}
	}
	return out
}

// sortedTxns returns the txns that hold locks, in a fixed order.
func (t *lockTable) sortedTxns() []txnKey {
	return slices.SortedFunc(maps.Keys(t.txns), func(a, b txnKey) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.boot, b.boot), cmp.Compare(a.counter, b.counter))
	})
}

// nextOrdinal returns a free ordinal for a further lock of the txn.
func (t *lockTable) nextOrdinal(txn txnKey) uint32 {
	var next uint32
	for _, h := range t.txns[txn] {
		next = max(next, h.ordinal+1)
	}
	return next
}

// lowestFloor is the lowest floor of a lock that holds closed back and is not
// being removed; false: none does.
func (t *lockTable) lowestFloor() (proto.Revision, bool) {
	lowest, found := proto.Revision(0), false
	for _, locks := range t.txns {
		for _, h := range locks {
			if f := proto.Revision(h.lock.Floor); h.removedBy == 0 && h.holdsClosed() && (!found || f < lowest) {
				lowest, found = f, true
			}
		}
	}
	return lowest, found
}

// loadLocks reads the lock table of a new leader.
func (e *Evaluator) loadLocks() error {
	var bad error
	err := e.opts.State.Locals(pontoonpb.Space_SPACE_LOCK, e.span, func(_, suffix, value []byte) bool {
		lock := &pontoonpb.Lock{}
		if bad = lock.UnmarshalVT(value); bad == nil && len(suffix) != len(txnKey{}.bytes())+4 {
			bad = fmt.Errorf("lock record with a suffix of %d bytes", len(suffix))
		}
		if bad != nil {
			return false
		}
		e.locks.add(&held{
			lock: lock, txn: keyOf(lock.Txn), span: proto.SpanOf(lock.What.Span), applied: true,
			ordinal: binary.BigEndian.Uint32(suffix[len(suffix)-4:]), askAt: e.now + e.opts.BlockedAfter,
		})
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("load locks: %w", err)
	}
	return nil
}

// dropLock forgets a lock whose removal is applied or that never came to be.
func (e *Evaluator) dropLock(h *held) {
	h.gone = true
	e.locks.remove(h)
	e.wakeWaiters(h)
	e.readsDirty = true
	e.wakeMerge()
	if h.revoke != 0 && e.opts.Lessor != nil {
		e.opts.Lessor.EndRevoke(h.revoke, h.committed)
	}
}

// release marks a lock as removed by the batch; what waited for it is
// evaluated again, over the batch's effects.
func (e *Evaluator) release(b *batch, h *held, committed bool) {
	h.removedBy, h.committed = b.id, committed
	b.removed = append(b.removed, h)
	e.write(b, &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_DELETE, Space: pontoonpb.Space_SPACE_LOCK,
		Key: h.span.Start, Suffix: h.suffix(),
	})
	e.wakeWaiters(h)
}

func (e *Evaluator) wakeWaiters(h *held) {
	ws := h.waiters
	h.waiters = nil
	e.requeue(ws...)
}

func lockRecord(h *held) *pontoonpb.Effect {
	return &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_LOCK,
		Key: h.span.Start, Suffix: h.suffix(), Value: marshal(h.lock),
	}
}
