package storage

import (
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// bootIndex and bootTerm are where every log starts.
const (
	bootIndex = 10
	bootTerm  = 5
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openFS(t testing.TB, fs *FS) *Engine {
	t.Helper()
	return must(Open(Options{Dir: "data", FS: fs, MemtableBytes: 1 << 20, CacheBytes: 4 << 20}))(t)
}

// openMem returns an engine in memory that the test's end closes.
func openMem(t testing.TB) *Engine {
	t.Helper()
	e := openFS(t, NewMemFS())
	t.Cleanup(func() { check(t, e.Close()) })
	return e
}

func descriptor(id proto.RangeID, span proto.Span) *pontoonpb.Descriptor {
	return &pontoonpb.Descriptor{
		RangeId: uint64(id), Span: span.Wire(), Generation: 1, NextReplicaId: 4,
		Replicas: []*pontoonpb.Replica{{NodeId: 7, ReplicaId: 1}, {NodeId: 8, ReplicaId: 2}, {NodeId: 9, ReplicaId: 3, Role: pontoonpb.ReplicaRole_REPLICA_LEARNER}},
	}
}

func bootState(id proto.RangeID, span proto.Span) RangeState {
	return RangeState{
		Descriptor: descriptor(id, span),
		HardState:  newHardState(bootTerm, 0, bootIndex),
		Truncated:  LogMark{Index: bootIndex, Term: bootTerm},
		Applied:    AppliedState{Index: bootIndex, Term: bootTerm, Floor: proto.NeverCompacted},
	}
}

// createRange makes a range with the span, durably.
func createRange(t testing.TB, e *Engine, id proto.RangeID, span proto.Span) {
	t.Helper()
	b := e.NewBatch()
	check(t, b.CreateRange(bootState(id, span), 1))
	check(t, b.Commit(true))
}

// apply applies effects as the range's next entry.
func apply(t testing.TB, e *Engine, id proto.RangeID, effects ...*pontoonpb.Effect) ApplyResult {
	t.Helper()
	b := e.NewBatch()
	next := e.Log(id).Applied()
	next.Index++
	res := must(b.Apply(id, &next, effects))(t)
	check(t, b.Commit(false))
	return res
}

func user(format string, args ...any) []byte { return keys.User(fmt.Appendf(nil, format, args...)) }

func put(key string, rev, create, version int64, value string) *pontoonpb.Effect {
	return &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: user("%s", key), Rev: rev, CreateRevision: create, Version: version,
		Value: []byte(value), Fresh: create == rev,
	}
}

func del(key string, rev int64) *pontoonpb.Effect {
	return &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_DELETE, Key: user("%s", key), Rev: rev, Fresh: true}
}

func setFloor(rev int64) *pontoonpb.Effect {
	return &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_FLOOR, Rev: rev}
}

func entries(term, from, to uint64) []*raftpb.Entry {
	var ents []*raftpb.Entry
	for i := from; i <= to; i++ {
		ents = append(ents, &raftpb.Entry{
			Type: raftpb.EntryNormal.Enum(), Term: &term, Index: &i, Data: fmt.Appendf(nil, "entry %d of term %d", i, term),
		})
	}
	return ents
}

// view returns a view that the test's end closes.
func view(t testing.TB, e *Engine) *View {
	t.Helper()
	v := must(e.NewView())(t)
	t.Cleanup(func() { check(t, v.Close()) })
	return v
}

// effectsOf returns the effects of a test's entry: one new key.
func effectsOf(rev int64) []*pontoonpb.Effect {
	return []*pontoonpb.Effect{put(fmt.Sprintf("key-%d", rev), rev, rev, 1, "value")}
}

func versionKey(key []byte, rev proto.Revision) []byte {
	return enginekey.AppendVersion(nil, key, rev, 0)
}
