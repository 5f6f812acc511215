package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// leaderWatch counts how often the root range got a leader as this node sees it:
// with a replica of it or from hearsay. It looks once per heartbeat interval, so
// that who led for less may be missed.
type leaderWatch struct {
	leader   func() proto.NodeID // 0: not known
	interval time.Duration
	changes  atomic.Uint64

	cancel context.CancelFunc
	wg     sync.WaitGroup

	last proto.NodeID
}

func (w *leaderWatch) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.wg.Go(func() {
		tick := time.NewTicker(w.interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.look()
			}
		}
	})
}

// look counts as etcd does: a leader that is known and was not the one before.
func (w *leaderWatch) look() {
	leader := w.leader()
	if leader != 0 && leader != w.last {
		w.changes.Add(1)
	}
	w.last = leader
}

func (w *leaderWatch) close() {
	if w.cancel != nil {
		w.cancel()
	}
	w.wg.Wait()
}
