package node_test

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// P43: the hash at a revision is the same before a compaction at it and after,
// as etcd has it, and a write shows in it as before.
func TestHashKVOutlivesCompaction_P43(t *testing.T) {
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	ctx := within(t, 20*time.Second)
	st, err := nd.maintenance().Status(ctx, &pb.StatusRequest{})
	if err != nil || st.DbSize == 0 || st.DbSizeInUse == 0 {
		t.Errorf("the sizes of an empty store: %v, %v", st, err)
	}
	hash := func(rev int64) uint32 {
		t.Helper()
		h, err := nd.maintenance().HashKV(ctx, &pb.HashKVRequest{Revision: rev})
		if err != nil {
			t.Fatal(err)
		}
		return h.Hash
	}
	if hash(1) == 0 {
		t.Error("the hash of an empty store is zero, which JSON leaves out")
	}
	nd.split("m")
	if hash(1) != hash(0) { // asked with the descriptors of before the split, too
		t.Error("a split changed the hash of an empty store")
	}
	for _, v := range []string{"1", "2", "3"} {
		nd.put("a", v)
		nd.put("z", v)
	}
	del, err := nd.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	at := del.Header.Revision
	last := nd.put("z", "4")
	before, after := hash(at), hash(last)
	if before == after {
		t.Fatal("a write does not show in the hash")
	}
	if _, err := nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: at, Physical: true}); err != nil {
		t.Fatal(err)
	}
	if got := hash(at); got != before {
		t.Errorf("a compaction changed the hash at its revision from %x to %x", before, got)
	}
	if got := hash(last); got != after {
		t.Errorf("a compaction changed the hash at a later revision from %x to %x", after, got)
	}
}
