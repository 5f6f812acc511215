package leaderlease

import "time"

// Election decides when a replica that hears no leader campaigns: the moment
// its promise is over, the voters one after another by rank. raft's own timeout
// would be drawn from one to two election timeouts, and two voters that draw
// alike lose the round to each other.
type Election struct {
	timeout   time.Duration
	notBefore Nanos

	silent bool
	due    Nanos
	tries  int
}

// Decision is what a replica does now about a leader that it does not hear.
type Decision struct {
	// Silent: the promise is over since this step. The leader is to be forgotten,
	// votes that were asked for meanwhile are to be answered, then Decide again.
	Silent   bool
	Campaign bool
	// Next is when to decide again, Never if nothing will come of it.
	Next Nanos
}

// NewElection returns the election of a replica that campaigns at notBefore at
// the earliest.
func NewElection(timeout time.Duration, notBefore Nanos) *Election {
	return &Election{timeout: timeout, notBefore: notBefore}
}

// Stagger is the time between the campaigns of two ranks: a round of votes on a
// busy machine.
func (e *Election) Stagger() time.Duration { return e.timeout / 16 }

// Decide takes the end of the promise and the replica's rank among those who
// may campaign, negative for none of them (P3).
func (e *Election) Decide(now, freeAt Nanos, rank int) Decision {
	if now < freeAt {
		e.silent = false
		return Decision{Next: freeAt}
	}
	if !e.silent {
		e.silent, e.tries = true, 0
		e.due = max(now, e.notBefore).Add(time.Duration(max(0, rank)) * e.Stagger())
		return Decision{Silent: true, Next: now}
	}
	if rank < 0 {
		return Decision{Next: Never}
	}
	var d Decision
	if now >= e.due {
		d.Campaign = true
		wait := e.timeout / 4 << min(e.tries, 2)
		e.due = now.Add(wait + time.Duration(rank)*e.Stagger())
		e.tries++
	}
	d.Next = e.due
	return d
}

// Voted lets a candidate that was just voted for win before this replica
// campaigns itself.
func (e *Election) Voted(now Nanos) { e.due = max(e.due, now.Add(e.timeout/2)) }

// Hurry makes the replica campaign at its next decision: a candidate asked that
// has less than it.
func (e *Election) Hurry(now Nanos) { e.due = min(e.due, now) }

// Silent reports whether the last decision found the promise over.
func (e *Election) Silent() bool { return e.silent }

// Postpone gives somebody else an election timeout to become leader.
func (e *Election) Postpone(now Nanos) {
	e.silent, e.notBefore = false, now.Add(e.timeout)
}
