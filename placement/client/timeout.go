package client

import (
	"slices"
	"time"
)

const sweepInterval = 100 * time.Millisecond

// sweep fails callers that waited too long and gives up sessions that do not
// answer.
func (c *Client) sweep() {
	t := time.NewTicker(sweepInterval)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			c.expire(now)
		case <-c.closed.Done():
			return
		}
	}
}

// expire answers the callers that waited longer than Options.Timeout. Their
// message stays in flight: its fate is open, and what it is granted is lost.
func (c *Client) expire(now time.Time) {
	c.answering.Lock()
	defer c.answering.Unlock()
	c.mu.Lock()
	limit := now.Add(-c.opts.Timeout)
	var late []ask
	for _, m := range c.inflight {
		for i := range m.asks {
			if a := &m.asks[i]; a.done != nil && a.since.Before(limit) {
				late = append(late, *a)
				a.done = nil
			}
		}
	}
	n := 0
	for n < len(c.asks) && c.asks[n].since.Before(limit) {
		n++
	}
	if n > 0 {
		late = append(late, c.asks[:n]...)
		c.asks = slices.Delete(c.asks, 0, n)
	}
	readers := c.lateReaders(limit)
	c.giveUp(now)
	c.mu.Unlock()
	c.fail(late, readers, unavailable("no sequencer answers"))
}

// giveUp ends a session that does not answer, or that has become a detour
// because the own node leads now. Called with mu held.
func (c *Client) giveUp(now time.Time) {
	if len(c.inflight) == 0 || c.session == nil {
		return
	}
	first := c.inflight[0].sent
	if first.IsZero() {
		return
	}
	waited := now.Sub(first)
	detour := c.session.node != c.opts.Node && c.opts.Local != nil && c.opts.Local.Leading()
	if waited > c.opts.ReplyTimeout || detour && waited > sweepInterval {
		c.session.cancel()
	}
}

// lateReaders takes the batches of readers that waited too long. Called with
// mu held.
func (c *Client) lateReaders(limit time.Time) []*readBatch {
	var late []*readBatch
	for _, m := range c.inflight {
		if m.reads != nil && m.reads.since.Before(limit) {
			late = append(late, m.reads)
			m.reads = nil
		}
	}
	if c.reads != nil && c.reads.since.Before(limit) {
		late = append(late, c.reads)
		c.reads = nil
	}
	return late
}

// failAll answers everything that waits with err.
func (c *Client) failAll(err error) {
	c.answering.Lock()
	defer c.answering.Unlock()
	c.mu.Lock()
	var asks []ask
	var readers []*readBatch
	for _, m := range c.inflight {
		asks = append(asks, m.asks...)
		readers = append(readers, m.reads)
	}
	asks = append(asks, c.asks...)
	readers = append(readers, c.reads)
	c.inflight, c.asks, c.reads = nil, nil, nil
	c.mu.Unlock()
	c.fail(asks, readers, err)
}

// fail answers callers with an error. Called with answering held.
func (c *Client) fail(asks []ask, readers []*readBatch, err error) {
	for _, a := range asks {
		if a.done != nil {
			c.metrics.failures.Inc()
			a.done(Grant{}, err)
		}
	}
	for _, b := range readers {
		if b != nil {
			c.metrics.failures.Inc()
			b.err = err
			close(b.done)
		}
	}
}
