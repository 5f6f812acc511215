package roster

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// root is the root range reduced to its records.
type root struct {
	records map[string][]byte
	writes  int
	between func()                   // runs once before the next write
	fate    pontoonpb.RangeErrorCode // of the next write, which is applied if it is AMBIGUOUS and not lost
	lost    bool
}

func newRoot() *root { return &root{records: map[string][]byte{}} }

func (r *root) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	if read := op.GetSysRead(); read != nil {
		return r.read(proto.SpanOf(op.Span)), nil
	}
	if f := r.between; f != nil {
		r.between = nil
		f()
	}
	fate := r.fate
	r.fate = pontoonpb.RangeErrorCode_RANGE_ERROR_NONE
	if fate == pontoonpb.RangeErrorCode_AMBIGUOUS && !r.lost || fate == pontoonpb.RangeErrorCode_RANGE_ERROR_NONE {
		if err := r.write(op.GetSysWrite()); err != nil {
			return &pontoonpb.RangeReply{Error: proto.ToWire(err)}, nil
		}
	}
	if fate != pontoonpb.RangeErrorCode_RANGE_ERROR_NONE {
		return &pontoonpb.RangeReply{Error: proto.ToWire(proto.Errorf(fate, "fault"))}, nil
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysWrite{SysWrite: &pontoonpb.SysWriteReply{}}}, nil
}

func (r *root) write(w *pontoonpb.SysWriteOp) error {
	for _, c := range w.Conditions {
		if have, ok := r.records[string(c.Key)]; ok != (len(c.Value) > 0) || !bytes.Equal(have, c.Value) {
			return proto.Errorf(pontoonpb.RangeErrorCode_CONDITION_FAILED, "condition")
		}
	}
	for _, p := range w.Puts {
		r.records[string(p.Key)] = p.Value
	}
	r.writes++
	return nil
}

func (r *root) read(span proto.Span) *pontoonpb.RangeReply {
	reply := &pontoonpb.SysReadReply{}
	for k, v := range r.records {
		if span.Contains([]byte(k)) {
			reply.Records = append(reply.Records, &pontoonpb.SysRecord{Key: []byte(k), Value: v})
		}
	}
	slices.SortFunc(reply.Records, func(a, b *pontoonpb.SysRecord) int { return bytes.Compare(a.Key, b.Key) })
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysRead{SysRead: reply}}
}

func name(s string) func(*pontoonpb.NodeRecord) error {
	return func(n *pontoonpb.NodeRecord) error { n.Name = s; return nil }
}

func TestNodes(t *testing.T) {
	store := newRoot()
	r, ctx := New(store), t.Context()
	for _, id := range []uint64{9, 7} {
		added, err := r.Add(ctx, &pontoonpb.NodeRecord{NodeId: id, Revision: 5})
		if err != nil || added.Revision != 1 {
			t.Fatal(added, err)
		}
	}
	if _, err := r.Add(ctx, &pontoonpb.NodeRecord{NodeId: 9}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if _, err := r.Update(ctx, 8, name("b")); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := r.Node(ctx, 8); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	// A change cannot touch what identifies the record.
	got, err := r.Update(ctx, 9, func(n *pontoonpb.NodeRecord) error { n.Name, n.NodeId, n.Revision = "c", 1, 77; return nil })
	if err != nil || got.Name != "c" || got.NodeId != 9 || got.Revision != 2 {
		t.Fatal(got, err)
	}
	writes := store.writes
	if got, err = r.Update(ctx, 9, name("c")); err != nil || got.Revision != 2 || store.writes != writes {
		t.Errorf("no change wrote: %v, %v", got, err)
	}
	refusal := errors.New("no")
	if _, err = r.Update(ctx, 9, func(*pontoonpb.NodeRecord) error { return refusal }); !errors.Is(err, refusal) {
		t.Error(err)
	}
	nodes, err := r.Nodes(ctx)
	if err != nil || len(nodes) != 2 || nodes[0].NodeId != 7 || nodes[1].Name != "c" {
		t.Fatal(nodes, err)
	}
	if _, err := r.Update(ctx, 7, func(n *pontoonpb.NodeRecord) error { n.Learner = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if nodes, _ = r.Nodes(ctx); Holders(nodes) != 1 {
		t.Error("a learner member holds nothing")
	}
}

// I1: an update that races starts over from what the other left.
func TestI1Race(t *testing.T) {
	store := newRoot()
	r, ctx := New(store), t.Context()
	store.records[string(keys.Node(9))] = initial(t, 9)
	store.between = func() {
		if _, err := r.Update(ctx, 9, name("other")); err != nil {
			t.Error(err)
		}
	}
	got, err := r.Update(ctx, 9, func(n *pontoonpb.NodeRecord) error { n.Version = n.Name + "!"; return nil })
	if err != nil || got.Name != "other" || got.Version != "other!" || got.Revision != 3 {
		t.Fatal(got, err)
	}
	store.between = func() { _, _ = r.Add(ctx, &pontoonpb.NodeRecord{NodeId: 4}) }
	if _, err := r.Add(ctx, &pontoonpb.NodeRecord{NodeId: 4}); !errors.Is(err, ErrExists) {
		t.Fatalf("both added: %v", err)
	}
}

// I1: a write whose fate is unknown is looked up, not repeated on top of itself.
func TestI1Ambiguous(t *testing.T) {
	for _, lost := range []bool{true, false} {
		store := newRoot()
		r, ctx := New(store), t.Context()
		store.records[string(keys.Node(9))] = initial(t, 9)
		store.fate, store.lost = pontoonpb.RangeErrorCode_AMBIGUOUS, lost
		got, err := r.Update(ctx, 9, func(n *pontoonpb.NodeRecord) error { n.Version += "x"; return nil })
		if err != nil || got.Version != "x" || got.Revision != 2 || store.writes != 1 {
			t.Errorf("lost %v: %v, %v", lost, got, err)
		}
		store.fate = pontoonpb.RangeErrorCode_UNAVAILABLE
		if _, err = r.Update(ctx, 9, name("y")); !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
			t.Errorf("lost %v: %v", lost, err)
		}
	}
}

// I2: nothing changes a removed node's record, nor takes its place.
func TestI2Removed(t *testing.T) {
	r, ctx := New(newRoot()), t.Context()
	if _, err := r.Add(ctx, &pontoonpb.NodeRecord{NodeId: 9}); err != nil {
		t.Fatal(err)
	}
	remove := func(n *pontoonpb.NodeRecord) error { n.State = pontoonpb.NodeState_NODE_REMOVED; return nil }
	if _, err := r.Update(ctx, 9, remove); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Update(ctx, 9, name("back")); !errors.Is(err, ErrRemoved) {
		t.Error(err)
	}
	if _, err := r.Add(ctx, &pontoonpb.NodeRecord{NodeId: 9}); !errors.Is(err, ErrRemoved) {
		t.Error(err)
	}
}

func initial(t *testing.T, id uint64) []byte {
	t.Helper()
	records, err := InitialRecords([]*pontoonpb.NodeRecord{{NodeId: id}})
	if err != nil || !bytes.Equal(records[0].Key, keys.Node(proto.NodeID(id))) {
		t.Fatal(records, err)
	}
	return records[0].Value
}

func set(pairs ...string) []*pontoonpb.Setting {
	var list []*pontoonpb.Setting
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &pontoonpb.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestSettings(t *testing.T) {
	store := newRoot()
	r, ctx := New(store), t.Context()
	s, err := r.Change(ctx, set("range_max_bytes", "128MiB", "dead_after_seconds", "1h30m", "split_busy", "off",
		"balance_off", "true", "snapshot_bytes_per_second", "1.5GiB/s", "merge_requests_per_second", "2.5"))
	if err != nil || s.RangeMaxBytes != 128<<20 || s.DeadAfterSeconds != 5400 || s.SplitBusy != -1 || !s.BalanceOff ||
		s.SnapshotBytesPerSecond != 3<<29 || s.MergeRequestsPerSecond != 2.5 {
		t.Fatal(s, err)
	}
	for _, id := range []uint64{1, 2, 3, 4, 5} {
		if _, err := r.Add(ctx, &pontoonpb.NodeRecord{NodeId: id}); err != nil {
			t.Fatal(err)
		}
	}
	texts, err := r.Describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{
		"replication_factor": {"3", "3"}, "root_replication_factor": {"5", "3, from five nodes on 5"},
		"dead_after_seconds": {"1h30m", "5m"}, "range_max_bytes": {"128MiB", "256MiB"}, "range_merge_bytes": {"32MiB", "32MiB"},
		"split_busy": {"off", "0.5"}, "moves_per_node": {"2", "2"}, "snapshot_bytes_per_second": {"1536MiB/s", "64MiB/s"},
		"balance_off": {"true", "false"}, "merge_requests_per_second": {"2.5", "10"}, "merge_after_seconds": {"5m", "5m"},
	}
	if fields := s.ProtoReflect().Descriptor().Fields(); fields.Len() != len(texts) || len(want) != len(texts) {
		t.Fatalf("%d settings have names, of %d", len(texts), fields.Len())
	}
	for _, text := range texts {
		if w := want[text.Name]; text.Value != w[0] || text.DefaultValue != w[1] || text.Help == "" {
			t.Errorf("%v, want %v", text, w)
		}
		if s.ProtoReflect().Descriptor().Fields().ByTextName(text.Name) == nil {
			t.Errorf("no field %s", text.Name)
		}
		// What is printed may be set again.
		if _, err := r.Change(ctx, set(text.Name, text.Value)); err != nil {
			t.Error(err)
		}
	}
	for _, text := range texts {
		if s, err = r.Change(ctx, set(text.Name, " ")); err != nil {
			t.Fatal(err)
		}
	}
	if !(s.RangeMaxBytes == 0 && !s.BalanceOff && s.SplitBusy == 0) || len(store.records[string(keys.Settings)]) == 0 {
		t.Fatal("not back to the defaults", s)
	}
	if s, err = r.Change(ctx, set("moves_per_node", "4")); err != nil || s.MovesPerNode != 4 {
		t.Fatal("after all defaults:", s, err)
	}
}

// I3: a change with anything wrong in it changes nothing, and says what.
func TestI3SettingsRefused(t *testing.T) {
	for _, c := range []struct{ name, value, why string }{
		{"factor", "3", "there is no such setting, there are replication_factor, root_"},
		{"replication_factor", "4", "is even: 4 replicas survive no more failures than 3"},
		{"replication_factor", "9", "is not 1, 3, 5 or 7"},
		{"root_replication_factor", "-1", "is not 1, 3, 5 or 7"},
		{"dead_after_seconds", "1s", "from 2s to 720h"},
		{"dead_after_seconds", "2500ms", "is not a time in whole seconds"},
		{"range_max_bytes", "off", "is not a size like 512KiB, 64MiB or 1GiB, from 64KiB to 64GiB"},
		{"range_max_bytes", "12XiB", "is not a size"},
		{"range_max_bytes", "100MiB/s", "is not a size"},
		{"range_merge_bytes", "200MiB", "is more than half of range_max_bytes (256MiB)"},
		{"range_merge_bytes", "-1", ", or off"},
		{"split_busy", "1.5", "is not a number above 0.05 up to 1, or off"},
		{"split_busy", "NaN", "is not a number"},
		{"moves_per_node", "0", "is not a number from 1 to 64"},
		{"balance_off", "maybe", "is neither true nor false"},
		{"merge_requests_per_second", "0", "is not a number above 0"},
	} {
		store := newRoot()
		_, err := New(store).Change(t.Context(), set("moves_per_node", "3", c.name, c.value))
		var refused *SettingError
		if !errors.As(err, &refused) || refused.Name != c.name || !strings.Contains(err.Error(), c.why) || store.writes > 0 {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
	}
}

// Changes of different settings that race both hold.
func TestI1SettingsRace(t *testing.T) {
	store := newRoot()
	r := New(store)
	store.between = func() {
		if _, err := r.Change(t.Context(), set("replication_factor", "5")); err != nil {
			t.Error(err)
		}
	}
	if s, err := r.Change(t.Context(), set("moves_per_node", "3")); err != nil || s.ReplicationFactor != 5 || s.MovesPerNode != 3 {
		t.Fatal(s, err)
	}
}

// I4: of two decisions over all records that race, the later one sees what the
// earlier one wrote, although they write different records.
func TestI4Decide(t *testing.T) {
	store := newRoot()
	r, ctx := New(store), t.Context()
	add := func(id uint64) func([]*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		return func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
			if len(all) > 0 {
				return nil, ErrExists
			}
			return &pontoonpb.NodeRecord{NodeId: id}, nil
		}
	}
	store.between = func() {
		if got, err := r.Decide(ctx, add(4)); err != nil || got.Revision != 1 {
			t.Error(got, err)
		}
	}
	if _, err := r.Decide(ctx, add(5)); !errors.Is(err, ErrExists) {
		t.Fatalf("both added: %v", err)
	}
	bump := func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		next := clone(all[0])
		next.Version += "x"
		return next, nil
	}
	store.fate = pontoonpb.RangeErrorCode_AMBIGUOUS
	got, err := r.Decide(ctx, bump)
	if err != nil || got.Version != "x" || got.Revision != 2 {
		t.Fatalf("an unknown fate is looked up: %v, %v", got, err)
	}
	nothing := func([]*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) { return nil, nil }
	if got, err := r.Decide(ctx, nothing); got != nil || err != nil {
		t.Error(got, err)
	}
}
