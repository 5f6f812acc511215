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
)

func directPut(key string) *pontoonpb.RangeOp {
	op := putOp(key, strings.Repeat("x", 100))
	op.RangeId = uint64(proto.UserRange)
	return op
}

func tooMany(e *pontoonpb.RangeError) bool {
	return e.GetCode() == pontoonpb.RangeErrorCode_ETCD && strings.Contains(e.GetMessage(), "too many requests")
}

// A leader refuses the writes that it has no place for, unbegun, and gives every
// place back.
func TestLeaderRefusesTooManyWrites(t *testing.T) {
	for name, set := range map[string]func(*Options){
		"writers": func(o *Options) { o.MaxWriters = 3 },
		"bytes":   func(o *Options) { o.MaxWriteBytes = int64(directPut("waits0").SizeVT() * 7 / 2) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3, set)
			c.put("first", "1")
			l := c.leader(proto.UserRange)
			r := l.store.replica(proto.UserRange)
			for _, nd := range c.nodes { // what is under way stays
				if nd != l {
					c.isolate(nd.id, true)
				}
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var wg sync.WaitGroup
			for i := range 3 {
				wg.Go(func() { l.store.Do(ctx, directPut(fmt.Sprint("waits", i))) })
			}
			c.wait("three writes under way", func() bool { return r.writers.Load() == 3 })
			if reply := l.store.Do(ctxFor(t, 5*time.Second), directPut("refused")); !tooMany(reply.Error) {
				t.Errorf("the fourth write got %v", reply.Error)
			}
			cancel()
			wg.Wait()
			if w, b := r.writers.Load(), l.store.writing.Load(); w != 0 || b != 0 {
				t.Errorf("%d writers and %d bytes are not given back", w, b)
			}
			for _, nd := range c.nodes {
				c.isolate(nd.id, false)
			}
			c.wait("served again", func() bool { // the leader may have lost the lead meanwhile
				return c.leader(proto.UserRange).store.Do(ctxFor(t, 5*time.Second), directPut("after")).Error == nil
			})
			if kv := c.get("refused"); kv != nil {
				t.Errorf("a refused write took effect: %v", kv)
			}
		})
	}
}
