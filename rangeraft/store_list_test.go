package rangeraft

import (
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// The list of replicas follows splits and merges, and costs nothing in between.
func TestListOfReplicasFollows(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.put("a", "1")
	store := c.leader(proto.UserRange).store
	has := func(id proto.RangeID) bool {
		return slices.ContainsFunc(store.all(), func(r *Replica) bool { return r.id == id })
	}
	if !has(proto.UserRange) || has(20) {
		t.Fatal("before the split")
	}
	c.mustDo(&pontoonpb.RangeOp{Span: keys.Point(keys.User([]byte("a"))).Wire(), Op: &pontoonpb.RangeOp_Split{
		Split: &pontoonpb.SplitOp{Key: keys.User([]byte("m")), RightRangeId: 20}}})
	c.wait("the right side in the list", func() bool { return has(20) })
	if n := testing.AllocsPerRun(100, func() { store.all() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	store.mu.Lock()
	store.dropLocked(20)
	store.mu.Unlock()
	if has(20) {
		t.Error("what was dropped is still in the list")
	}
}
