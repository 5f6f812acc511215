package evaluator

import (
	"bytes"
	"fmt"
	"slices"
	"sort"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// machine is a tiny replicated state machine of one range: it applies commands
// as the rules say and checks what it is given against what it was promised.
type machine struct {
	desc     *pontoonpb.Descriptor
	versions map[string][]version // internal key -> versions, oldest first
	locals   map[string]local
	floor    proto.Revision
	closed   proto.Revision
	term     uint64 // of the last applied batch
	batch    uint64
	history  []*pontoonpb.Command // applied
	broken   []string             // broken promises
	merge    *pontoonpb.MergeRecord
}

type version struct {
	rev  int64
	kv   *mvccpb.KeyValue // nil: tombstone
	want int64            // sub
}

type local struct {
	space              pontoonpb.Space
	key, suffix, value []byte
}

func newMachine(desc *pontoonpb.Descriptor) *machine {
	return &machine{
		desc: desc, versions: map[string][]version{}, locals: map[string]local{},
		floor: proto.NeverCompacted, closed: proto.FirstRevision,
	}
}

func (m *machine) fail(format string, args ...any) {
	m.broken = append(m.broken, fmt.Sprintf(format, args...))
}

// apply applies an entry of a raft term; false: it is ignored (P12).
func (m *machine) apply(term uint64, cmd *pontoonpb.Command) bool {
	last := uint64(0)
	if m.term == term {
		last = m.batch
	}
	if cmd.Term != term || cmd.Generation != m.desc.Generation || cmd.Predecessor != last {
		return false
	}
	if m.term == term && cmd.Batch <= m.batch {
		m.fail("batch %d applied after %d", cmd.Batch, m.batch)
	}
	m.term, m.batch = term, cmd.Batch
	for _, f := range cmd.Effects {
		m.effect(f)
	}
	if cmd.Closed != 0 {
		if proto.Revision(cmd.Closed) < m.closed {
			m.fail("closed went back from %d to %d", m.closed, cmd.Closed)
		}
		m.closed = proto.Revision(cmd.Closed)
	}
	if cmd.Split != nil {
		d := m.desc
		m.desc = &pontoonpb.Descriptor{
			RangeId: d.RangeId, Generation: d.Generation + 1, Replicas: d.Replicas,
			Span: &pontoonpb.Span{Start: d.Span.Start, End: cmd.Split.Key},
		}
	}
	if cmd.Change != nil {
		d := m.desc
		m.desc = &pontoonpb.Descriptor{
			RangeId: d.RangeId, Generation: d.Generation + 1, Span: d.Span,
			Replicas: cmd.Change.Replicas, NextReplicaId: cmd.Change.NextReplicaId,
		}
	}
	m.applyMerge(cmd.Merge)
	m.history = append(m.history, cmd)
	return true
}

func (m *machine) effect(f *pontoonpb.Effect) {
	switch f.Kind {
	case pontoonpb.EffectKind_EFFECT_PUT:
		key, _ := keys.UserKey(f.Key)
		m.put(f.Key, version{rev: f.Rev, want: f.Sub, kv: &mvccpb.KeyValue{
			Key: key, Value: f.Value, Lease: f.Lease, Version: f.Version,
			CreateRevision: f.CreateRevision, ModRevision: f.Rev,
		}})
	case pontoonpb.EffectKind_EFFECT_DELETE:
		m.put(f.Key, version{rev: f.Rev, want: f.Sub})
	case pontoonpb.EffectKind_EFFECT_DELETE_SPAN:
		sub := f.Sub
		for _, kv := range m.live(effectSpan(f), 0) {
			m.put(keys.User(kv.Key), version{rev: f.Rev, want: sub})
			sub++
		}
	case pontoonpb.EffectKind_EFFECT_LOCAL_PUT:
		m.locals[recordName(f.Space, f.Key, f.Suffix)] = local{f.Space, f.Key, f.Suffix, f.Value}
	case pontoonpb.EffectKind_EFFECT_LOCAL_DELETE:
		delete(m.locals, recordName(f.Space, f.Key, f.Suffix))
	case pontoonpb.EffectKind_EFFECT_FLOOR:
		m.floor = max(m.floor, proto.Revision(f.Rev))
	}
}

func (m *machine) put(key []byte, v version) {
	if v.rev >= 1<<61 || v.rev <= 0 || v.kv != nil && v.kv.CreateRevision >= 1<<61 {
		m.fail("key %q written at revision %d", key, v.rev)
	}
	if proto.Revision(v.rev) <= m.closed {
		m.fail("key %q written at %d, closed was %d (P18)", key, v.rev, m.closed)
	}
	vs := m.versions[string(key)]
	if n := len(vs); n > 0 && (vs[n-1].rev > v.rev || vs[n-1].rev == v.rev && vs[n-1].want >= v.want) {
		m.fail("key %q written at %d.%d after %d.%d", key, v.rev, v.want, vs[n-1].rev, vs[n-1].want)
	}
	m.versions[string(key)] = append(vs, v)
}

// live returns the key-values of span at rev, 0 for the latest, in key order.
func (m *machine) live(span proto.Span, rev int64) []*mvccpb.KeyValue {
	var names []string
	for k := range m.versions {
		if span.Contains([]byte(k)) {
			names = append(names, k)
		}
	}
	sort.Strings(names)
	var out []*mvccpb.KeyValue
	for _, k := range names {
		var kv *mvccpb.KeyValue
		for _, v := range m.versions[k] {
			if rev == 0 || v.rev <= rev {
				kv = v.kv
			}
		}
		if kv != nil {
			out = append(out, kv)
		}
	}
	return out
}

func (m *machine) Get(key []byte) (*mvccpb.KeyValue, error) {
	for _, kv := range m.live(keys.Point(key), 0) {
		return kv, nil
	}
	return nil, nil
}

func (m *machine) Scan(span proto.Span, rev proto.Revision, fn func(*mvccpb.KeyValue) bool) error {
	for _, kv := range m.live(span, int64(rev)) {
		if !fn(kv) {
			break
		}
	}
	return nil
}

func (m *machine) Count(span proto.Span, rev proto.Revision) (int64, error) {
	return int64(len(m.live(span, int64(rev)))), nil
}

func (m *machine) LeaseKeys(span proto.Span, lease proto.LeaseID, fn func([]byte) bool) error {
	for _, kv := range m.live(span, 0) {
		if kv.Lease == int64(lease) && !fn(keys.User(kv.Key)) {
			break
		}
	}
	return nil
}

func (m *machine) Local(space pontoonpb.Space, key, suffix []byte) ([]byte, error) {
	return m.locals[recordName(space, key, suffix)].value, nil
}

func (m *machine) Locals(space pontoonpb.Space, span proto.Span, fn func(key, suffix, value []byte) bool) error {
	var all []local
	for _, l := range m.locals {
		if l.space == space && span.Contains(l.key) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b local) int {
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		return bytes.Compare(a.suffix, b.suffix)
	})
	for _, l := range all {
		if !fn(l.key, l.suffix, l.value) {
			break
		}
	}
	return nil
}

func (m *machine) AuthEpoch() uint64 { return 0 }

func (m *machine) Floor() proto.Revision { return m.floor }

// locks lists the lock records.
func (m *machine) locks() []*pontoonpb.Lock {
	var out []*pontoonpb.Lock
	_ = m.Locals(pontoonpb.Space_SPACE_LOCK, proto.Span{Start: []byte{0}, End: keys.Max}, func(_, _, value []byte) bool {
		l := &pontoonpb.Lock{}
		if err := l.UnmarshalVT(value); err != nil {
			m.fail("lock record: %v", err)
		}
		out = append(out, l)
		return true
	})
	return out
}

// record reads a txn record.
func (m *machine) record(anchor []byte, txn *pontoonpb.TxnID) *pontoonpb.TxnRecord {
	value, _ := m.Local(pontoonpb.Space_SPACE_TXN, anchor, keyOf(txn).bytes())
	if value == nil {
		return nil
	}
	r := &pontoonpb.TxnRecord{}
	if err := r.UnmarshalVT(value); err != nil {
		m.fail("txn record: %v", err)
	}
	return r
}
