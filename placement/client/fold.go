package client

import (
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// next returns the next message to send, or how long to wait before there may
// be one (0: until signalled).
func (c *Client) next(now time.Time) (*message, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.inflight { // resent in order, under their old sequence (P7)
		if m.sent.IsZero() {
			m.sent = now
			return m, 0
		}
	}
	if len(c.asks) == 0 && c.reads == nil || len(c.inflight) >= maxInFlight {
		return nil, 0
	}
	if wait := c.opts.FoldInterval - now.Sub(c.lastSent); len(c.inflight) > 0 && wait > 0 {
		return nil, wait
	}
	m := c.fold()
	m.sent, c.lastSent = now, now
	c.inflight = append(c.inflight, m)
	return m, 0
}

// fold makes a message of all that waits. Asks that were checked under other
// epochs than those known take part only to be told so in turn (P9).
func (c *Client) fold() *message {
	c.sequence++
	m := &message{epochs: c.epochs, asks: c.asks, reads: c.reads}
	c.asks, c.spare, c.reads = c.spare[:0], nil, nil
	var count int64
	for i := range m.asks {
		if m.asks[i].epochs == m.epochs {
			count += m.asks[i].n
		}
	}
	m.wire = &pontoonpb.SequenceAsk{
		Node: uint64(c.opts.Node), Boot: c.opts.Boot, Sequence: c.sequence, Count: count,
		ClusterId: c.opts.ClusterID,
		Epochs: &pontoonpb.Epochs{
			Floor: int64(m.epochs.Floor), Auth: m.epochs.Auth, Alarm: m.epochs.Alarm,
		},
	}
	c.metrics.messages.Inc()
	c.metrics.asks.Add(float64(len(m.asks)))
	return m
}

// take accepts a reply on a session and answers whom it answers. False: the
// sender is not the sequencer to talk to.
func (c *Client) take(s *session, r *pontoonpb.SequenceReply) bool {
	c.answering.Lock()
	defer c.answering.Unlock()

	c.mu.Lock()
	if c.session != s || r.NotLeader || proto.Term(r.Term) < c.term { // (P7, I4)
		c.mu.Unlock()
		return false
	}
	if len(c.inflight) == 0 || r.Sequence != c.inflight[0].wire.Sequence {
		// A second reply to a message that was resent on this session is not
		// possible, so this is no sequencer of ours.
		c.mu.Unlock()
		return false
	}
	m := c.inflight[0]
	copy(c.inflight, c.inflight[1:])
	c.inflight[len(c.inflight)-1] = nil
	c.inflight = c.inflight[:len(c.inflight)-1]
	c.term = proto.Term(r.Term)
	c.root.Store(r.Term)
	changed := c.raiseEpochs(r.Epochs)
	epochs, hooks := c.epochs, c.onEpochs
	c.mu.Unlock()
	c.signal()

	// Seen first: whoever is answered may close or serve at it (I3).
	c.raiseSeen(r.Read)
	if r.First > 0 {
		c.raiseSeen(r.First + m.wire.Count - 1)
	}
	if changed {
		for _, fn := range hooks {
			fn(epochs)
		}
	}
	c.metrics.latency.Observe(time.Since(m.sent).Seconds())
	answerGrants(m, r)
	if m.reads != nil {
		if time.Since(m.reads.since) > slowRead {
			c.metrics.slow.Inc()
		}
		m.reads.read = Read{
			Revision: proto.Revision(r.Read), Floor: proto.Revision(r.Epochs.GetFloor()),
			AuthEpoch: r.Epochs.GetAuth(), AlarmEpoch: r.Epochs.GetAlarm(),
		}
		close(m.reads.done)
	}
	c.recycle(m)
	return true
}

// answerGrants deals out the numbers of a reply in the order of the asks. An
// ask for none learns of changed epochs like any other (P9).
func answerGrants(m *message, r *pontoonpb.SequenceReply) {
	g := Grant{Read: proto.Revision(r.Read), Floor: proto.Revision(r.Epochs.GetFloor())}
	changed := r.EpochsChanged || epochsOf(r.Epochs) != m.epochs
	next := proto.Revision(r.First)
	for i := range m.asks {
		a := &m.asks[i]
		g.First, g.EpochsChanged = 0, changed || a.epochs != m.epochs
		if !g.EpochsChanged && a.n > 0 {
			g.First = next
			next += proto.Revision(a.n)
		}
		if a.done != nil { // nil: timed out, its numbers are lost (P10)
			a.done(g, nil)
		}
	}
}

func epochsOf(e *pontoonpb.Epochs) Epochs {
	return Epochs{Floor: proto.Revision(e.GetFloor()), Auth: e.GetAuth(), Alarm: e.GetAlarm()}
}

// raiseEpochs takes in newer epochs; parts never decrease, so a repeated reply
// cannot take anything back. Called with mu held.
func (c *Client) raiseEpochs(e *pontoonpb.Epochs) bool {
	n := epochsOf(e)
	n.Floor = max(n.Floor, c.epochs.Floor)
	n.Auth = max(n.Auth, c.epochs.Auth)
	n.Alarm = max(n.Alarm, c.epochs.Alarm)
	if n == c.epochs {
		return false
	}
	c.epochs = n
	c.floor.Store(int64(n.Floor))
	return true
}

// recycle keeps the slice of a message's asks for the next one.
func (c *Client) recycle(m *message) {
	clear(m.asks)
	c.mu.Lock()
	if cap(m.asks) > cap(c.spare) {
		c.spare = m.asks[:0]
	}
	c.mu.Unlock()
}
