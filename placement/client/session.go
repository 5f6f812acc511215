package client

import (
	"context"
	"runtime"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const firstBackoff = 5 * time.Millisecond

// session is one attempt to talk to one node as the sequencer.
type session struct {
	node   proto.NodeID
	ctx    context.Context
	cancel context.CancelFunc
	hint   proto.NodeID // set before cancel
	served bool         // it answered at least once
}

// run finds the leader and talks to it, over and over.
func (c *Client) run() {
	var hint proto.NodeID
	var refused proto.NodeID // by it was the last try
	turn, misses := 0, 0
	for c.awaitWork() {
		node := c.target(hint, refused, &turn)
		s := c.open(node)
		if node == c.opts.Node {
			c.talkLocal(s)
		} else if node != 0 {
			c.talk(s, node)
		}
		s.cancel()
		hint = c.whom(s.hint)
		if s.served {
			misses, refused = 0, 0
			continue
		}
		misses++
		refused = node
		if misses == 1 && hint != 0 && hint != node {
			continue // a fresh hint is worth an immediate try
		}
		if hint == node {
			hint = 0
		}
		c.pause(min(firstBackoff<<min(misses, 10), c.opts.MaxBackoff))
		hint = c.whom(hint)
	}
}

// Redirect tells who leads the root range now, as the own replica knows it. It
// only saves time.
func (c *Client) Redirect(leader proto.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advice = leader
	select {
	case c.advised <- struct{}{}: // no pause is needed any more
	default:
	}
	if s := c.session; s != nil && s.node != leader {
		s.cancel()
	}
}

// whom returns whom to try next: who is said to lead now, else the hint.
func (c *Client) whom(hint proto.NodeID) proto.NodeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.advice != 0 {
		hint, c.advice = c.advice, 0
	}
	return hint
}

// target chooses whom to ask: the own node if it leads, else the hinted one,
// else the replicas of the root range in turn. An own sequencer that refused
// just now does not know yet that it was deposed.
func (c *Client) target(hint, refused proto.NodeID, turn *int) proto.NodeID {
	if c.opts.Local != nil && refused != c.opts.Node && c.opts.Local.Leading() {
		return c.opts.Node
	}
	if hint != 0 && hint != c.opts.Node && c.opts.Peers != nil {
		return hint
	}
	roots := c.opts.Roots()
	for range roots {
		*turn++
		node := roots[*turn%len(roots)]
		if node != c.opts.Node && c.opts.Peers != nil {
			return node
		}
	}
	return 0
}

// open begins a session: everything unanswered is to be sent on it.
func (c *Client) open(node proto.NodeID) *session {
	ctx, cancel := context.WithCancel(c.closed)
	s := &session{node: node, ctx: ctx, cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	for _, m := range c.inflight {
		m.sent = time.Time{}
	}
	return s
}

// awaitWork blocks while there is nothing to ask. False: closed.
func (c *Client) awaitWork() bool {
	for c.closed.Err() == nil {
		c.mu.Lock()
		work := len(c.asks) > 0 || c.reads != nil || len(c.inflight) > 0
		c.mu.Unlock()
		if work {
			return true
		}
		select {
		case <-c.wake:
		case <-c.closed.Done():
		}
	}
	return false
}

func (c *Client) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.advised:
	case <-c.closed.Done():
	}
}

// await returns the next message of a session, nil when the session is over.
func (c *Client) await(s *session) *message {
	// Those who were just answered ask again before the next message is folded;
	// without this a busy node folds one caller at a time.
	runtime.Gosched()
	for s.ctx.Err() == nil {
		m, wait := c.next(time.Now())
		if m != nil {
			return m
		}
		var after <-chan time.Time
		if wait > 0 {
			after = time.After(wait)
		}
		select {
		case <-c.wake:
		case <-after:
		case <-s.ctx.Done():
		}
	}
	return nil
}

// talkLocal asks the sequencer of the own node, one message at a time.
func (c *Client) talkLocal(s *session) {
	for m := c.await(s); m != nil; m = c.await(s) {
		r, err := c.opts.Local.Serve(s.ctx, m.wire)
		if err != nil {
			return
		}
		if !c.take(s, r) {
			s.hint = proto.NodeID(r.LeaderNode)
			return
		}
		s.served = true
	}
}

// talk asks the sequencer of another node over a stream.
func (c *Client) talk(s *session, node proto.NodeID) {
	conn, err := c.opts.Peers.Conn(node)
	if err != nil {
		c.opts.Logger.Debug("sequencer not reachable", "node", uint64(node), "err", err)
		return
	}
	// A connection that does not come up must not hold the client.
	opening := time.AfterFunc(c.opts.OpenTimeout, s.cancel)
	stream, err := pontoonpb.NewPeerClient(conn).Sequence(s.ctx)
	opening.Stop()
	if err != nil {
		c.opts.Logger.Debug("sequencer not reachable", "node", uint64(node), "err", err)
		return
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer s.cancel()
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			if !c.take(s, r) {
				s.hint = proto.NodeID(r.LeaderNode)
				return
			}
			s.served = true
		}
	}()
	for m := c.await(s); m != nil; m = c.await(s) {
		if err := stream.Send(m.wire); err != nil {
			break
		}
	}
	s.cancel()
	<-received
}
