package node

import (
	"context"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft"
)

// refresher bounds how far idle ranges' closed revisions, and so serializable
// reads, fall behind when nobody waits for them: the node that hands out
// revisions pushes the newest one around, once per interval if it moved.
type refresher struct {
	sequencer *sequencer.Server
	numbers   *client.Client
	store     *rangeraft.Store
	interval  time.Duration

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (r *refresher) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() {
		tick := time.NewTicker(r.interval)
		defer tick.Stop()
		var pushed proto.Revision
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !r.sequencer.Leading() {
				continue
			}
			// Asked like by anybody else, so that only a confirmed number is
			// spread (S1).
			if read, err := r.numbers.ReadRevision(ctx); err == nil && read.Revision > pushed {
				pushed = read.Revision
				r.store.PushClosed(pushed)
			}
		}
	})
}

func (r *refresher) close() {
	if r.cancel != nil {
		r.cancel()
	}
	r.wg.Wait()
}
