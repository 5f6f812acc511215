package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Apply writes the effects of one log entry together with the applied state
// that they lead to. next holds the new Index, Term, Batch, BatchTerm and
// Closed over what Log.Applied said; Apply brings its Floor and LiveKeys up to
// date. It evaluates nothing (P12), and repeating it after a crash leads to
// the same state.
func (b *Batch) Apply(id proto.RangeID, next *AppliedState, effects []*pontoonpb.Effect) (ApplyResult, error) {
	var res ApplyResult
	remark := false
	for i, ef := range effects {
		remark = remark || late(ef, next.Floor)
		if err := b.applyEffect(next, &res, ef); err != nil {
			return res, rangeError(id, fmt.Errorf("storage: effect %d of entry %d: %w", i, next.Index, err))
		}
	}
	if next.LiveKeys != LiveKeysUnknown {
		next.LiveKeys += res.LiveDelta
	}
	// An effect below the floor leaves versions that dropping may have passed
	// (P41). The entry's index is a mark that no earlier pass had.
	if remark {
		if err := b.setRange(id, enginekey.DropMark, binary.AppendUvarint(nil, uint64(next.Index))); err != nil {
			return res, err
		}
		res.Drop = true
	}
	sortEvents(res.Events)
	b.change(id).st.applied = *next
	return res, b.setRange(id, enginekey.Applied, appendApplied(nil, next))
}

// late reports whether the effect writes a version that dropping may have
// passed.
func late(ef *pontoonpb.Effect, floor proto.Revision) bool {
	switch ef.Kind {
	case pontoonpb.EffectKind_EFFECT_PUT, pontoonpb.EffectKind_EFFECT_DELETE, pontoonpb.EffectKind_EFFECT_DELETE_SPAN:
		return proto.Revision(ef.Rev) <= floor
	}
	return false
}

func sortEvents(ev []*pontoonpb.ChangeEvent) {
	less := func(i, j int) bool {
		if a, b := ev[i].Event.Kv.ModRevision, ev[j].Event.Kv.ModRevision; a != b {
			return a < b
		}
		return ev[i].Sub < ev[j].Sub
	}
	if !sort.SliceIsSorted(ev, less) {
		sort.SliceStable(ev, less)
	}
}

func (b *Batch) applyEffect(next *AppliedState, res *ApplyResult, ef *pontoonpb.Effect) error {
	switch ef.Kind {
	case pontoonpb.EffectKind_EFFECT_NONE:
		return nil
	case pontoonpb.EffectKind_EFFECT_PUT:
		return b.applyPut(res, ef)
	case pontoonpb.EffectKind_EFFECT_DELETE:
		return b.applyDelete(res, ef)
	case pontoonpb.EffectKind_EFFECT_DELETE_SPAN:
		return b.applyDeleteSpan(res, ef)
	case pontoonpb.EffectKind_EFFECT_LOCAL_PUT, pontoonpb.EffectKind_EFFECT_LOCAL_DELETE:
		return b.applyLocal(ef)
	case pontoonpb.EffectKind_EFFECT_FLOOR:
		if f := proto.Revision(ef.Rev); f > next.Floor {
			next.Floor = f
			res.Drop = true
		}
		return nil
	}
	return fmt.Errorf("unknown kind %d", ef.Kind)
}

func (b *Batch) applyPut(res *ApplyResult, ef *pontoonpb.Effect) error {
	v := Version{
		Key: ef.Key, ModRevision: proto.Revision(ef.Rev), Sub: ef.Sub, CreateRevision: proto.Revision(ef.CreateRevision),
		Version: ef.Version, Lease: proto.LeaseID(ef.Lease), Value: ef.Value,
	}
	if err := b.setVersion(&v); err != nil {
		return err
	}
	if err := b.moveLease(ef.Key, ef.PrevLease, ef.Lease); err != nil {
		return err
	}
	if ef.Fresh {
		res.LiveDelta++
	}
	res.Events = append(res.Events, &pontoonpb.ChangeEvent{
		Event: &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: v.KeyValue()}, Sub: ef.Sub,
	})
	return nil
}

func (b *Batch) applyDelete(res *ApplyResult, ef *pontoonpb.Effect) error {
	if ef.Fresh {
		res.LiveDelta--
	}
	return b.tombstone(res, ef.Key, proto.Revision(ef.Rev), ef.Sub, ef.PrevLease)
}

// tombstone writes the deletion of one key and its event.
func (b *Batch) tombstone(res *ApplyResult, key []byte, rev proto.Revision, sub, lease int64) error {
	v := Version{Key: key, ModRevision: rev, Sub: sub, Tombstone: true}
	if err := b.setVersion(&v); err != nil {
		return err
	}
	if err := b.moveLease(key, lease, 0); err != nil {
		return err
	}
	res.Events = append(res.Events, deleteEvent(key, rev, sub))
	return nil
}

func deleteEvent(key []byte, rev proto.Revision, sub int64) *pontoonpb.ChangeEvent {
	user, _ := keys.UserKey(key)
	kv := &mvccpb.KeyValue{Key: user, ModRevision: int64(rev)}
	return &pontoonpb.ChangeEvent{Event: &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: kv}, Sub: sub}
}

// setVersion writes one version record straight into the batch's memory.
func (b *Batch) setVersion(v *Version) error {
	if _, ok := keys.UserKey(v.Key); !ok {
		return fmt.Errorf("key %x is not a user key", v.Key)
	}
	if v.ModRevision <= 0 {
		return fmt.Errorf("revision %d", v.ModRevision)
	}
	if v.Sub < 0 || v.Sub > enginekey.MaxSub {
		return fmt.Errorf("sub %d", v.Sub)
	}
	head := Version{CreateRevision: v.CreateRevision, Version: v.Version, Lease: v.Lease, Tombstone: v.Tombstone}
	b.buf = appendVersion(b.buf[:0], &head)
	b.used += int64(enginekey.VersionLen(v.Key) + len(b.buf) + len(v.Value))
	op := b.b.SetDeferred(enginekey.VersionLen(v.Key), len(b.buf)+len(v.Value))
	enginekey.AppendVersion(op.Key[:0], v.Key, v.ModRevision, v.Sub)
	copy(op.Value[copy(op.Value, b.buf):], v.Value)
	return wrap("apply", op.Finish())
}

// moveLease keeps the lease index: the entry of from goes, that of to comes.
func (b *Batch) moveLease(key []byte, from, to int64) error {
	if from == to {
		return nil
	}
	if from != 0 {
		b.buf = enginekey.AppendLease(b.buf[:0], key, proto.LeaseID(from))
		if err := b.b.Delete(b.buf, nil); err != nil {
			return wrap("apply", err)
		}
	}
	if to != 0 {
		b.buf = enginekey.AppendLease(b.buf[:0], key, proto.LeaseID(to))
		b.used += int64(len(b.buf))
		return wrap("apply", b.b.Set(b.buf, nil, nil))
	}
	return nil
}

func (b *Batch) applyLocal(ef *pontoonpb.Effect) error {
	t, ok := enginekey.Local(ef.Space)
	if !ok {
		return fmt.Errorf("unknown space %d", ef.Space)
	}
	if len(ef.Suffix) > enginekey.MaxSuffix {
		return errors.New("suffix too long")
	}
	b.buf = enginekey.AppendSuffixed(b.buf[:0], t, ef.Key, ef.Suffix)
	if ef.Kind == pontoonpb.EffectKind_EFFECT_LOCAL_DELETE {
		return wrap("apply", b.b.Delete(b.buf, nil))
	}
	if !keys.MetaSpan.Contains(ef.Key) {
		b.used += int64(len(b.buf) + len(ef.Value))
	}
	return wrap("apply", b.b.Set(b.buf, ef.Value, nil))
}
