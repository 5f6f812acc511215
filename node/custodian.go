package node

import (
	"context"
	"sync"
	"time"
)

// custodian does what nobody waits for: beside the root range's leader it
// removes members that left and are empty, and everywhere it keeps the place of
// the root range for the next start.
type custodian struct {
	node   *Node
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	custodyInterval = time.Second
	custodyTimeout  = 5 * time.Second
)

func (c *custodian) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() {
		t := time.NewTicker(custodyInterval)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			c.look(ctx)
		}
	})
}

func (c *custodian) look(ctx context.Context) {
	n := c.node
	if err := n.root.save(); err != nil {
		n.cfg.Logger.Error("place of the root range not saved", "error", err)
	}
	if n.sequencer.Leading() {
		ctx, cancel := context.WithTimeout(ctx, custodyTimeout)
		defer cancel()
		n.membership.Settle(ctx)
	}
}

func (c *custodian) close() {
	c.cancel()
	c.wg.Wait()
}
