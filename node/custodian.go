package node

import (
	"context"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/placement/roster"
)

// custodian does what nobody waits for: beside the root range's leader it
// removes members that left and are empty; everywhere it keeps the place of the
// root range for the next start, follows the settings that nodes obey, and takes
// leave when this node is to go.
type custodian struct {
	node   *Node
	turn   int
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	custodyInterval = time.Second
	leaveInterval   = 100 * time.Millisecond // while this node is to go
	custodyTimeout  = 5 * time.Second
	settingsTurns   = 5 // settings are read that rarely
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
			if c.look(ctx); c.leave(ctx) {
				return
			}
			if c.node.leaving() {
				t.Reset(leaveInterval)
			}
		}
	})
}

func (c *custodian) look(ctx context.Context) {
	n := c.node
	if err := n.root.save(); err != nil {
		n.cfg.Logger.Error("place of the root range not saved", "error", err)
	}
	ctx, cancel := context.WithTimeout(ctx, custodyTimeout)
	defer cancel()
	if n.sequencer.Leading() {
		n.membership.Settle(ctx)
	}
	if c.turn++; c.turn%settingsTurns == 1 {
		c.obey(ctx)
	}
}

// leave reports whether this node is gone.
func (c *custodian) leave(ctx context.Context) bool {
	n := c.node
	if !n.leaving() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, custodyTimeout)
	defer cancel()
	gone, err := n.membership.TakeLeave(ctx, n.members.Self, n.farewell)
	if err != nil {
		n.cfg.Logger.Warn("taking leave", "error", err)
	}
	if gone && err == nil {
		n.buried()
	}
	return gone && err == nil
}

// leaving reports whether this node is to go once it is empty.
func (n *Node) leaving() bool { return n.roster.Node(n.members.Self).GetLeaving() }

func (c *custodian) obey(ctx context.Context) {
	n := c.node
	s, err := roster.New(n.sender).Settings(ctx)
	if err != nil {
		return // the next turn may be luckier, and nothing depends on it
	}
	s = roster.WithDefaults(s, roster.Holders(n.roster.Nodes()))
	n.store.Transport().SetSnapshotRate(s.SnapshotBytesPerSecond)
}

func (c *custodian) close() {
	c.cancel()
	c.wg.Wait()
}
