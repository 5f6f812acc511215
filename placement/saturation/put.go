package saturation

import (
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// A put's cost falls on its gateway, its leader and two followers. All nodes play
// all parts alike, so how it is divided moves latencies, not throughput.
const (
	gatewayShare  = 3
	leaderShare   = 3
	followerShare = 6 // two of them
	inFlight      = 2 // messages of a node, as in package client
)

// any returns a node that serves users.
func (m *model) any() int {
	if m.Relieved && m.Nodes > 1 {
		return 1 + m.rng.IntN(m.Nodes-1)
	}
	return m.rng.IntN(m.Nodes)
}

// put is one turn of a writer, which begins the next one when it ends.
func (m *model) put(writer int) {
	gateway := writer
	if m.Relieved && writer == root {
		gateway = m.any()
	}
	leader := m.any()
	m.work(gateway, m.costs.Put/gatewayShare, func() {
		m.send(gateway, leader, func() {
			m.work(leader, m.costs.Put/leaderShare, func() {
				m.nodes[leader].waiting = append(m.nodes[leader].waiting, func() {
					m.replicate(leader, func() {
						m.send(leader, gateway, func() {
							m.puts++
							m.put(writer)
						})
					})
				})
				m.ask(leader)
			})
		})
	})
}

// send carries something from node to node.
func (m *model) send(from, to int, then func()) {
	if from == to {
		then()
		return
	}
	m.at(m.now+m.Delay, then)
}

// replicate goes on when the first of two followers has it.
func (m *model) replicate(leader int, then func()) {
	if m.Nodes == 1 {
		then()
		return
	}
	done := false
	first := 1 + m.rng.IntN(m.Nodes-1)
	for k := range min(2, m.Nodes-1) {
		follower := (leader + first + k) % m.Nodes
		if follower == leader {
			follower = (follower + 1) % m.Nodes
		}
		m.send(leader, follower, func() {
			m.work(follower, m.costs.Put/followerShare, func() {
				m.send(follower, leader, func() {
					if !done {
						done = true
						then()
					}
				})
			})
		})
	}
}

// ask sends all that waits on a node as one message, if one may be sent.
func (m *model) ask(at int) {
	n := &m.nodes[at]
	if n.flying == inFlight || len(n.waiting) == 0 {
		return
	}
	puts := n.waiting
	n.waiting = nil
	n.flying++
	n.number++
	wire := &pontoonpb.SequenceAsk{Node: uint64(at + 1), Boot: 1, Sequence: n.number, Count: int64(len(puts)), Epochs: epochs.Wire()}
	m.asking(at, func() {
		m.send(at, root, func() {
			m.asking(root, func() {
				m.asks++
				m.ticket++
				m.granted[m.ticket] = func(r *pontoonpb.SequenceReply) { m.answer(at, puts, r) }
				m.take(m.kernel.Ask(m.time(), m.ticket, wire))
			})
		})
	})
}

// asking is work for one side of a message.
func (m *model) asking(at int, then func()) {
	m.work(at, m.costs.Ask, func() {
		m.nodes[at].asked += m.costs.Ask
		then()
	})
}

// answer brings a grant to those who wait for it.
func (m *model) answer(at int, puts []func(), r *pontoonpb.SequenceReply) {
	if r.First <= m.last { // I1
		panic(fmt.Sprintf("number %d granted after %d", r.First, m.last))
	}
	m.last = r.First + int64(len(puts)) - 1
	m.send(root, at, func() {
		m.nodes[at].flying--
		for _, put := range puts {
			put()
		}
		m.ask(at)
	})
}

var epochs = sequencer.Epochs{Floor: proto.NeverCompacted}

// lead makes the kernel lead.
func (m *model) lead() {
	m.granted = map[sequencer.Ticket]func(*pontoonpb.SequenceReply){}
	m.take(m.kernel.Gained(m.time(), 1, 0, epochs))
}

// take carries out what the kernel wants. A limit is in the log after a round to
// a follower and back.
func (m *model) take(out sequencer.Output) {
	for _, a := range out.Answers {
		answer := m.granted[a.Ticket]
		delete(m.granted, a.Ticket)
		answer(a.Reply)
	}
	if out.Next != 0 {
		m.at(m.now+2*m.Delay, func() { m.take(m.kernel.LimitApplied(m.time(), out.Next)) })
	}
}

func (m *model) time() time.Time { return time.Unix(1000, 0).Add(m.now) }
