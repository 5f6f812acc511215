package leaderlease

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// Nanos is a reading of a monotonic clock that counts suspended time (P4).
type Nanos int64

// Add returns n + d.
func (n Nanos) Add(d time.Duration) Nanos { return n + Nanos(d) }

// Never is earlier than every reading.
const Never Nanos = -1 << 62

// ID names one round of heartbeats.
type ID uint64

// Bytes is the form that travels in a message's Context.
func (id ID) Bytes() []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

// offerBytes is the length of an id with the end of the leader's log and a mark:
// a heartbeat that offers sleep (P48). 16 bytes are raft's own.
const offerBytes = 17

// Offer is the form of an id that offers sleep to who has the log up to index.
func (id ID) Offer(index proto.Index) []byte {
	return append(binary.BigEndian.AppendUint64(id.Bytes(), uint64(index)), 'z')
}

// ParseOffer returns the index of an offer.
func ParseOffer(b []byte) (proto.Index, bool) {
	if len(b) != offerBytes {
		return 0, false
	}
	return proto.Index(binary.BigEndian.Uint64(b[8:])), true
}

// ParseID is the inverse of Bytes; an offer of sleep has an id, too.
func ParseID(b []byte) (ID, bool) {
	if len(b) != 8 && len(b) != offerBytes {
		return 0, false
	}
	return ID(binary.BigEndian.Uint64(b)), true
}

// Duration returns the length of a leader lease: the election timeout less two
// ticks and less the drift that two clocks may accumulate over it (P4).
func Duration(electionTimeout, tick time.Duration, driftPerMille int64) time.Duration {
	drift := electionTimeout * time.Duration(driftPerMille) / 1000
	return max(0, electionTimeout-2*tick-drift)
}

// Voters is a configuration: one set, or two while joint.
type Voters [][]proto.ReplicaID

// Lease is the leader's side.
type Lease struct {
	self     proto.ReplicaID
	duration time.Duration

	leading bool
	dropped bool
	term    proto.Term
	voters  Voters
	last    ID                        // rises for the life of the process
	sent    []Nanos                   // sent[i] is the send time of id first+i
	first   ID                        // oldest id still remembered
	acked   map[proto.ReplicaID]Nanos // send time of the newest acknowledged id
	leaving []proto.ReplicaID         // on nodes that said that they stop
}

// maxOutstanding bounds the remembered rounds; an acknowledgement of an older
// one is too old to matter.
const maxOutstanding = 4096

// NewLease returns the lease of a replica that does not lead.
func NewLease(self proto.ReplicaID, duration time.Duration) *Lease {
	return &Lease{self: self, duration: duration}
}

// Lead starts a term as leader, without a quorum time.
func (l *Lease) Lead(term proto.Term, voters Voters) {
	l.leading, l.dropped, l.term, l.voters = true, false, term, voters
	l.sent, l.first = l.sent[:0], l.last+1
	l.acked = map[proto.ReplicaID]Nanos{}
}

// Follow ends leadership.
func (l *Lease) Follow() {
	l.leading = false
	l.sent, l.first = nil, l.last+1
	l.acked = nil
}

// AckedAt notes that a voter heard, in the current term, something that was sent
// at an instant: a beat of its node while it slept (P48).
func (l *Lease) AckedAt(from proto.ReplicaID, at Nanos) {
	if old, ok := l.acked[from]; l.leading && (!ok || at > old) {
		l.acked[from] = at
	}
}

// Duration is how long the lease lasts from the send time that a quorum heard.
func (l *Lease) Duration() time.Duration { return l.duration }

// Rest forgets the rounds that are not answered yet: none follow for a while.
func (l *Lease) Rest() { l.sent, l.first = nil, l.last+1 }

// SetVoters changes the configuration.
func (l *Lease) SetVoters(voters Voters) { l.voters = voters }

// SetLeaving names the replicas whose nodes said that they stop. What they
// acknowledge proves leadership (QuorumSince), but the lease does not last on it:
// a leader whose quorum has left must notice at once, not when the lease lapses.
func (l *Lease) SetLeaving(ids []proto.ReplicaID) { l.leaving = ids }

// Drop gives the lease up for the rest of the term, before a TimeoutNow can
// leave (P2).
func (l *Lease) Drop() { l.dropped = true }

// Dropped reports whether the lease was given up in this term.
func (l *Lease) Dropped() bool { return l.dropped }

// Sent starts a round of heartbeats that leaves at or after now.
func (l *Lease) Sent(now Nanos) ID {
	l.last++
	if len(l.sent) == maxOutstanding {
		l.sent = slices.Delete(l.sent, 0, maxOutstanding/2)
		l.first += maxOutstanding / 2
	}
	l.sent = append(l.sent, now)
	return l.last
}

// Acked notes that a voter answered the round in the current term.
func (l *Lease) Acked(from proto.ReplicaID, id ID) {
	if !l.leading || id < l.first || id >= l.first+ID(len(l.sent)) {
		return
	}
	at := l.sent[id-l.first]
	if old, ok := l.acked[from]; !ok || at > old {
		l.acked[from] = at
	}
}

// QuorumTime returns the latest time T such that a quorum acknowledged
// heartbeats sent at T or later. The leader itself counts as now.
func (l *Lease) QuorumTime(now Nanos) Nanos { return l.quorumTime(now, nil) }

func (l *Lease) quorumTime(now Nanos, without []proto.ReplicaID) Nanos {
	if !l.leading || len(l.voters) == 0 {
		return Never
	}
	quorum := now
	for _, set := range l.voters {
		if len(set) > 0 {
			quorum = min(quorum, l.setTime(set, now, without))
		}
	}
	return quorum
}

func (l *Lease) setTime(set []proto.ReplicaID, now Nanos, without []proto.ReplicaID) Nanos {
	var buf [8]Nanos
	times := buf[:0]
	for _, id := range set {
		at, ok := l.acked[id]
		switch {
		case id == l.self:
			at = now
		case !ok || slices.Contains(without, id):
			at = Never
		}
		times = append(times, at)
	}
	slices.Sort(times)
	return times[(len(times)-1)/2]
}

// Valid reports whether the leader may serve at now without a round.
func (l *Lease) Valid(now Nanos) bool {
	return l.ValidUntil(now) > now
}

// ValidUntil returns when the lease lapses unless renewed; Never without one.
func (l *Lease) ValidUntil(now Nanos) Nanos {
	if !l.leading || l.dropped {
		return Never
	}
	t := l.quorumTime(now, l.leaving)
	if t == Never {
		return Never
	}
	return t.Add(l.duration)
}

// QuorumSince reports whether a quorum confirmed this leader with a round that
// started at or after t (P5).
func (l *Lease) QuorumSince(t, now Nanos) bool {
	q := l.QuorumTime(now)
	return q != Never && q >= t
}
