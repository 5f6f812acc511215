package rangeraft

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func mergeOp(c *cluster, left string, right uint64) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{
		Span: keys.Point([]byte("\x03" + left)).Wire(),
		Op:   &pontoonpb.RangeOp_Merge{Merge: &pontoonpb.MergeOp{RightRangeId: right}},
	}
}

// split and merge wait until they are done; leaders may change meanwhile, and a
// busy machine takes longer than a driver waits.
func (c *cluster) split(key string, right uint64) {
	c.t.Helper()
	if _, err := c.do(ctxFor(c.t, 20*time.Second), splitOp(c, key, right)); err != nil {
		c.t.Fatalf("split at %s: %v", key, err)
	}
}

func (c *cluster) merge(left string, right uint64) *pontoonpb.Descriptor {
	c.t.Helper()
	var reply *pontoonpb.RangeReply
	var err error
	for range 20 {
		if reply, err = c.do(ctxFor(c.t, 20*time.Second), mergeOp(c, left, right)); err == nil {
			return reply.GetMerge().Merged
		}
	}
	c.t.Fatalf("merge %d: %v", right, err)
	return nil
}

// writers put distinct keys until stopped, and say what was acknowledged.
func (c *cluster) writers(n int, keyOf func(w, i int) string) (stop func() map[string]string) {
	end := make(chan struct{})
	var mu sync.Mutex
	acked := map[string]string{}
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				key, value := keyOf(w, i), fmt.Sprint(w, "-", i)
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				_, err := c.do(ctx, putOp(key, value))
				cancel()
				if err == nil {
					mu.Lock()
					acked[key] = value
					mu.Unlock()
				}
			}
		})
	}
	return func() map[string]string { close(end); wg.Wait(); return acked }
}

// mustAgree waits until every replica of the range on a live node holds the
// same.
func (c *cluster) mustAgree(id proto.RangeID) {
	c.t.Helper()
	c.waitOr(fmt.Sprint("equal replicas of range ", id), func() bool {
		found, n := map[uint64]int{}, 0
		for _, nd := range c.nodes {
			if nd.live() == nil {
				continue
			}
			if sum, err := nd.checksumOf(id); err == nil {
				found[sum.Sum]++
			}
			n++
		}
		for _, k := range found {
			return len(found) == 1 && k == n
		}
		return false
	}, func() string { return c.describe(id) })
}

func (nd *testNode) checksumOf(id proto.RangeID) (storage.Checksum, error) {
	v, err := nd.engine.NewView()
	if err != nil {
		nd.c.t.Fatal(err)
	}
	defer v.Close()
	return v.Checksum(id)
}

// describe says what the nodes hold of a range, and of what lies around it.
func (c *cluster) describe(id proto.RangeID) string {
	var b strings.Builder
	for _, n := range c.ids {
		nd := c.nodes[n]
		s := nd.live()
		if s == nil {
			fmt.Fprintf(&b, "node %d: down\n", n)
			continue
		}
		sum, err := nd.checksumOf(id)
		next, _ := nd.engine.Tombstone(id)
		fmt.Fprintf(&b, "node %d: index %d checksum %x %v, tombstone %d\n", n, sum.Index, sum.Sum, err, next)
		s.mu.RLock()
		fmt.Fprintf(&b, "  being made or taken in: %v, received: %v, sent: %d\n", s.splitting, s.incoming, len(s.snapshots))
		s.mu.RUnlock()
		for _, r := range s.all() {
			r.mu.Lock()
			fmt.Fprintf(&b, "  range %d: %v\n    state %+v, leads %v, sleeps %+v, merge %v\n    raft %v\n",
				r.id, r.desc.Load(), r.state, r.leading, r.slumber, r.merge.Load(), r.rn.Status())
			r.mu.Unlock()
		}
	}
	return b.String()
}

func (c *cluster) mustBeGone(id proto.RangeID) {
	c.t.Helper()
	c.wait(fmt.Sprint("range ", id, " gone everywhere"), func() bool {
		for _, nd := range c.nodes {
			if s := nd.live(); s != nil && (s.replica(id) != nil || nd.engine.Log(id).Descriptor() != nil) {
				return false
			}
		}
		return true
	})
}

// P46: a merge under writes loses and repeats nothing, and the merged range is
// the same everywhere.
func TestMergeUnderWrites_P46(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.split("m", 10)
	c.leader(10)
	stop := c.writers(4, func(w, i int) string { return fmt.Sprintf("%c%d-%d", "amtz"[w], w, i%50) })
	for i := range 5 {
		begin := time.Now()
		d := c.merge("a", uint64(10+i))
		t.Log("merged in ", time.Since(begin))
		if string(d.Span.End) != string(keys.Max) || d.RangeId != 3 {
			t.Fatalf("merged into %v", d)
		}
		c.mustBeGone(proto.RangeID(10 + i))
		c.split("m", uint64(11+i))
	}
	acked := stop()
	if len(acked) < 50 {
		t.Fatal("too few writes went through: ", len(acked))
	}
	for key, value := range acked {
		_ = value
		if c.get(key) == nil {
			t.Fatalf("%s is lost", key)
		}
	}
	c.mustAgree(3)
	c.mustAgree(15)
}
