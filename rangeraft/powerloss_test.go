package rangeraft

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// acknowledged is what clients were told of keys that each is written once.
type acknowledged struct {
	mu   sync.Mutex
	revs map[string]int64
}

func (a *acknowledged) write(ctx context.Context, c *cluster, id int) {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%d-%d", id, i)
		call, cancel := context.WithTimeout(ctx, 3*time.Second)
		reply, err := c.do(call, putOp(key, key))
		cancel()
		if err == nil {
			a.mu.Lock()
			a.revs[key] = reply.GetWrite().Revision
			a.mu.Unlock()
		}
	}
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.revs)
}

// Nodes lose their power one at a time or several at once, under load: a
// replica attests nothing that it could lose, so whatever was acknowledged is
// there, at its revision. A node is cut off before its disk is looked at: it
// went down a moment after its last message left.
func TestPowerLossUnderLoad(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.put("x", "1")
	a := &acknowledged{revs: map[string]int64{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for id := range 4 {
		wg.Go(func() { a.write(ctx, c, id) })
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		enough := a.count() + 50
		c.wait("more writes", func() bool { return a.count() >= enough })
		var down []*testNode
		for _, i := range rnd.Perm(3)[:1+rnd.IntN(3)] {
			down = append(down, c.nodes[c.ids[i]])
		}
		for _, nd := range down {
			c.isolate(nd.id, true)
		}
		for _, nd := range down {
			nd.crash(rnd.Uint64())
		}
		for _, nd := range down {
			nd.start(false)
		}
		for _, nd := range down {
			c.isolate(nd.id, false)
		}
	}
	enough := a.count() + 20
	c.wait("writes to go on", func() bool { return a.count() >= enough })
	cancel()
	wg.Wait()
	taken := map[int64]string{}
	for key, rev := range a.revs {
		kv := c.get(key)
		if kv == nil || kv.ModRevision != rev || string(kv.Value) != key {
			t.Fatalf("%s was acknowledged at %d, now %v", key, rev, kv)
		}
		if other, twice := taken[rev]; twice {
			t.Fatalf("revision %d was given to %s and %s", rev, key, other)
		}
		taken[rev] = key
	}
	for _, nd := range c.nodes {
		if nd.store.replica(proto.UserRange) == nil {
			t.Errorf("node %d has no replica", nd.id)
		}
	}
}
