package leaderlease

import "time"

// Promise is a replica's side of its leader's lease: for one election timeout
// of real time after a message of the leader, or after a restart, it neither
// grants a (pre-)vote nor campaigns (P3). raft's own tick counting is not
// enough, since ticks burst after a pause and a forced campaign forgets the
// leader.
type Promise struct {
	timeout time.Duration
	until   Nanos
}

// NewPromise returns the promise of a replica of a fresh process: bound when
// an earlier life of it may have acknowledged heartbeats.
func NewPromise(timeout time.Duration, now Nanos, bound bool) *Promise {
	p := &Promise{timeout: timeout, until: Never}
	if bound {
		p.until = now.Add(timeout)
	}
	return p
}

// Heard notes a message of the leader of the current or a higher term, about
// to be handed to raft.
func (p *Promise) Heard(now Nanos) { p.until = max(p.until, now.Add(p.timeout)) }

// Until is when the promise ends, if no further message comes.
func (p *Promise) Until() Nanos { return p.until }

// Free reports whether the replica may grant a vote or campaign. A vote for a
// candidate that the leader itself asked to campaign needs no such freedom,
// nor does a single voter.
func (p *Promise) Free(now Nanos) bool { return now >= p.until }
