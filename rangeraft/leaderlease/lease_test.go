package leaderlease

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

const ms = Nanos(time.Millisecond)

func three() Voters { return Voters{{1, 2, 3}} }

func TestQuorumTimeIsSendTime(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, three())
	if l.Valid(0) {
		t.Fatal("valid without an acknowledgement")
	}
	id := l.Sent(100 * ms)
	l.Acked(2, id) // arrives at 600
	if !l.Valid(799 * ms) {
		t.Fatal("not valid within duration of the send time")
	}
	if l.Valid(800 * ms) {
		t.Fatal("valid beyond send time + duration (I1)")
	}
}

// P5: only a round that started at or after t proves leadership at t.
func TestQuorumSince_P5(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, Voters{{1, 2, 3, 4, 5}})
	early := l.Sent(10 * ms)
	late := l.Sent(30 * ms)
	l.Acked(2, late)
	l.Acked(3, early)
	if l.QuorumSince(20*ms, 50*ms) {
		t.Fatal("round before t accepted")
	}
	if !l.QuorumSince(10*ms, 50*ms) {
		t.Fatal("quorum at 10 not seen")
	}
	l.Acked(3, late)
	if !l.QuorumSince(20*ms, 50*ms) {
		t.Fatal("quorum at 30 not seen")
	}
}

// The lease does not last on voters that leave; what they acknowledge proves
// leadership all the same.
func TestLeavingVotersCarryNoLease(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, three())
	id := l.Sent(10 * ms)
	l.Acked(2, id)
	l.Acked(3, id)
	l.SetLeaving([]proto.ReplicaID{2})
	if !l.Valid(20 * ms) {
		t.Fatal("the voter that stays carries the lease no more")
	}
	l.SetLeaving([]proto.ReplicaID{2, 3})
	if l.Valid(20 * ms) {
		t.Fatal("voters that leave carry the lease")
	}
	if !l.QuorumSince(10*ms, 20*ms) {
		t.Fatal("their acknowledgements are lost")
	}
	l.SetLeaving(nil)
	if !l.Valid(20 * ms) {
		t.Fatal("no lease once they are back")
	}
}

// P2: after a transfer was begun the lease is gone for the term, quorum rounds
// still work, and a new term starts clean.
func TestDroppedForTheTerm_P2(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, three())
	l.Acked(2, l.Sent(10*ms))
	l.Drop()
	if l.Valid(11 * ms) {
		t.Fatal("valid after drop")
	}
	l.Acked(2, l.Sent(20*ms))
	if l.Valid(21 * ms) {
		t.Fatal("a later acknowledgement revived a dropped lease")
	}
	if !l.QuorumSince(20*ms, 21*ms) {
		t.Fatal("quorum rounds must go on working")
	}
	l.Lead(7, three())
	l.Acked(2, l.Sent(30*ms))
	if !l.Valid(31 * ms) {
		t.Fatal("new term has no lease")
	}
}

func TestAcknowledgementOfAnOldTermIsVoid(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, three())
	old := l.Sent(10 * ms)
	l.Follow()
	l.Lead(7, three())
	l.Acked(2, old)
	if l.Valid(11*ms) || l.QuorumSince(0, 11*ms) {
		t.Fatal("an id of an earlier term counted")
	}
}

func TestJointConfigurationNeedsBoth(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, Voters{{1, 2, 3}, {1, 4, 5}})
	id := l.Sent(10 * ms)
	l.Acked(2, id)
	l.Acked(3, id)
	if l.Valid(11 * ms) {
		t.Fatal("outgoing set had no quorum")
	}
	l.Acked(4, id)
	if !l.Valid(11 * ms) {
		t.Fatal("both sets have a quorum")
	}
}

func TestSingleVoterIsAlwaysQuorum(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, Voters{{1}})
	if !l.Valid(10*ms) || !l.QuorumSince(10*ms, 10*ms) {
		t.Fatal("single voter without lease")
	}
	l.Follow()
	if l.Valid(10 * ms) {
		t.Fatal("valid while not leading")
	}
}

func TestManyRoundsForgetTheOldest(t *testing.T) {
	l := NewLease(1, 700*time.Millisecond)
	l.Lead(5, three())
	first := l.Sent(0)
	var last ID
	for i := Nanos(1); i <= 3*maxOutstanding; i++ {
		last = l.Sent(i)
	}
	l.Acked(2, first)
	if l.QuorumTime(1<<40) != Never {
		t.Fatal("forgotten id counted")
	}
	l.Acked(2, last)
	if l.QuorumTime(1<<40) != 3*maxOutstanding {
		t.Fatalf("quorum time %d", l.QuorumTime(1<<40))
	}
}

// P4: the margin is at least two ticks plus the drift bound.
func TestDurationMargin_P4(t *testing.T) {
	d := Duration(time.Second, 100*time.Millisecond, 10)
	if d != 790*time.Millisecond {
		t.Fatalf("duration %v", d)
	}
	if Duration(100*time.Millisecond, 100*time.Millisecond, 0) != 0 {
		t.Fatal("a timeout of a tick leaves no lease")
	}
}

func TestIDRoundTrip(t *testing.T) {
	id, ok := ParseID(ID(77).Bytes())
	if !ok || id != 77 {
		t.Fatal(id, ok)
	}
	if _, ok := ParseID([]byte("CampaignTransfer")); ok {
		t.Fatal("parsed a foreign context")
	}
}
