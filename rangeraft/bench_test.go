package rangeraft

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
)

func BenchmarkWrite(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			c := newCluster(b, nodes, nil)
			c.put("a", "1")
			l := c.leader(proto.UserRange)
			var n atomic.Int64
			b.SetParallelism(64)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					op := putOp(fmt.Sprint("key-", n.Add(1)), "value")
					op.RangeId = uint64(proto.UserRange)
					if reply := l.store.Do(context.Background(), op); reply.Error != nil {
						b.Error(reply.Error)
						return
					}
				}
			})
		})
	}
}

func BenchmarkRead(b *testing.B) {
	c := newCluster(b, 3, nil)
	c.put("a", "1")
	l := c.leader(proto.UserRange)
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			op := getOp("a", 2)
			op.RangeId = uint64(proto.UserRange)
			if reply := l.store.Do(context.Background(), op); reply.Error != nil {
				b.Error(reply.Error)
				return
			}
		}
	})
}
