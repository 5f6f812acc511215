package rangeraft

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func transferOp(r *Replica, to proto.NodeID) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{RangeId: uint64(r.id), Span: r.desc.Load().Span,
		Op: &pontoonpb.RangeOp_Transfer{Transfer: &pontoonpb.TransferOp{ToNode: uint64(to)}}}
}

// P10: a leadership that is handed over under writes burns no number and leaves
// none of them in doubt.
// In virtual time: a machine too busy for heartbeats would have elections, which
// burn numbers and leave writers in doubt.
func TestTransferKeepsNumbersDense_P10(t *testing.T) {
	virtually(t, 3, nil, transfersKeepNumbersDense)
}

func transfersKeepNumbersDense(t *testing.T, c *cluster) {
	const writers, transfers = 4, 12
	c.put("x", "1")
	ctx := ctxFor(t, 50*time.Second)
	over := make(chan struct{})
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		taken = map[int64]bool{}
	)
	for w := range writers {
		wg.Go(func() {
			pace := time.NewTicker(time.Millisecond) // time goes on
			defer pace.Stop()
			for {
				select {
				case <-over:
					return
				case <-pace.C:
				}
				reply, err := c.do(ctx, putOp(fmt.Sprint("w", w), "1"))
				if err != nil {
					t.Errorf("put: %v", err)
					return
				}
				mu.Lock()
				taken[reply.GetWrite().Revision] = true
				mu.Unlock()
			}
		})
	}
	for i := range transfers {
		old := c.leader(proto.UserRange)
		to := c.ids[i%3]
		if to == old.id {
			to = c.ids[(i+1)%3]
		}
		if reply := old.store.Do(ctx, transferOp(old.store.replica(proto.UserRange), to)); reply.Error != nil {
			t.Logf("transfer: %v", reply.Error) // it may have been lost meanwhile
		}
	}
	close(over)
	wg.Wait()
	last := int64(c.read())
	for rev := int64(proto.FirstRevision) + 2; rev <= last; rev++ {
		if !taken[rev] {
			t.Errorf("nobody was given revision %d of %d", rev, last)
		}
	}
}
