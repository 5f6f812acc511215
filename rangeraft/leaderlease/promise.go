package leaderlease

import "time"

// Promise is a replica's side of its leader's lease: for one election timeout
// of real time after a message of the leader, or after a restart, it neither
// grants a (pre-)vote nor campaigns (P3). raft's own tick counting is not
// enough, since ticks burst after a pause and a forced campaign forgets the
// leader.
type Promise struct {
	timeout time.Duration
	ticks   int // raft's election timeout in ticks

	until   Nanos
	elapsed int // ticks handed to raft since the last message of the leader
}

// NewPromise returns the promise of a replica of a fresh process: bound when
// an earlier life of it may have acknowledged heartbeats.
func NewPromise(timeout time.Duration, electionTicks int, now Nanos, bound bool) *Promise {
	p := &Promise{timeout: timeout, ticks: electionTicks, until: Never}
	if bound {
		p.until = now.Add(timeout)
	}
	return p
}

// Heard notes a message of the leader of the current or a higher term, about
// to be handed to raft.
func (p *Promise) Heard(now Nanos) {
	p.until = max(p.until, now.Add(p.timeout))
	p.elapsed = 0
}

// Free reports whether the replica may grant a vote or campaign. A vote for a
// candidate that the leader itself asked to campaign needs no such freedom,
// nor does a single voter.
func (p *Promise) Free(now Nanos) bool { return now >= p.until }

// Tick reports whether raft may be given a tick. While the promise holds,
// ticks stop one short of the election timeout, so that none of them makes
// raft campaign.
func (p *Promise) Tick(now Nanos, leading, single bool) bool {
	if leading || single || p.Free(now) {
		p.elapsed++
		return true
	}
	if p.elapsed+1 >= p.ticks {
		return false
	}
	p.elapsed++
	return true
}
