package closed

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const always = time.Duration(1 << 62)

func held(proto.RangeID) time.Duration { return always }

// P19: a range is believed only from the applied index on at which it entered,
// in the same term.
func TestAcceptsAtAppliedIndexAndTerm_P19(t *testing.T) {
	s, r := NewSender(), NewReceiver()
	s.Enter(7, 3, 100, always)
	s.Close(50, 1, held)
	r.Update(1, s.Flush())
	for _, c := range []struct {
		term  proto.Term
		index proto.Index
		want  proto.Revision
	}{{3, 99, 0}, {2, 200, 0}, {4, 200, 0}, {3, 100, 50}, {3, 99, 50}} {
		if got := r.Closed(7, c.term, c.index); got != c.want {
			t.Errorf("term %d index %d: closed %d, want %d", c.term, c.index, got, c.want)
		}
	}
}

// P19: a range that left gets none of the later numbers, also if it left and
// the number rose within one update.
func TestLeaveComesBeforeHigherNumber_P19(t *testing.T) {
	s, r := NewSender(), NewReceiver()
	s.Enter(1, 1, 10, always)
	s.Enter(2, 1, 10, always)
	s.Close(5, 1, held)
	r.Update(1, s.Flush())
	s.Leave(1)
	s.Close(9, 1, held)
	r.Update(1, s.Flush())
	if got := r.Closed(1, 1, 10); got != 5 {
		t.Errorf("left range: closed %d, want 5", got)
	}
	if got := r.Closed(2, 1, 10); got != 9 {
		t.Errorf("range that stayed: closed %d, want 9", got)
	}
}

// P19: closing at C drops ranges whose leader lease is over at an instant after
// C was learned, and asks for a lease only when the known one is over.
func TestCloseChecksLease_P19(t *testing.T) {
	s := NewSender()
	s.Enter(1, 1, 10, 100)
	s.Enter(2, 1, 10, 100)
	asked := 0
	until := func(id proto.RangeID) time.Duration {
		asked++
		return map[proto.RangeID]time.Duration{1: 150, 2: 300}[id]
	}
	if out := s.Close(5, 99, until); len(out) != 0 || asked != 0 {
		t.Fatalf("leases valid: %v left, asked %d", out, asked)
	}
	out := s.Close(6, 200, until)
	if len(out) != 1 || out[0] != 1 || asked != 2 {
		t.Fatalf("at 200: %v left, asked %d", out, asked)
	}
	u := s.Flush()
	if len(u.Enter) != 1 || u.Enter[0].RangeId != 2 {
		t.Fatalf("got %v", u)
	}
}

// P19: a new stream starts empty, the ranges that are in enter it again; what
// was believed stays.
func TestNewStreamStartsEmpty_P19(t *testing.T) {
	s, r := NewSender(), NewReceiver()
	s.Enter(1, 1, 10, always)
	s.Close(5, 1, held)
	r.Update(1, s.Flush())
	s.Reset()
	r.Reset(1)
	s.Close(8, 1, held)
	if got := r.Closed(1, 1, 10); got != 5 {
		t.Fatalf("between streams: %d", got)
	}
	r.Update(1, &pontoonpb.ClosedUpdate{Closed: 7})
	if got := r.Closed(1, 1, 10); got != 5 {
		t.Fatalf("empty stream: %d", got)
	}
	r.Update(1, s.Flush())
	if got := r.Closed(1, 1, 10); got != 8 {
		t.Fatalf("new stream: %d", got)
	}
}

// Updates cost what changed; only watched ranges are named.
func TestNotifiesWatchedOnly(t *testing.T) {
	s, r := NewSender(), NewReceiver()
	for id := proto.RangeID(1); id <= 10000; id++ {
		s.Enter(id, 1, 1, always)
	}
	r.Watch(5)
	r.Watch(70000)
	s.Close(3, 1, held)
	if got := r.Update(1, s.Flush()); len(got) != 1 || got[0] != 5 {
		t.Fatalf("enter: %v", got)
	}
	r.Watch(6)
	s.Close(4, 1, held)
	u := s.Flush()
	if len(u.Enter)+len(u.Leave) != 0 {
		t.Fatalf("nothing entered or left: %v", u)
	}
	if got := r.Update(1, u); len(got) != 2 {
		t.Fatalf("rise: %v", got)
	}
	r.Unwatch(5)
	s.Close(5, 1, held)
	if got := r.Update(1, s.Flush()); len(got) != 1 || got[0] != 6 {
		t.Fatalf("after Unwatch: %v", got)
	}
	if s.Flush() != nil {
		t.Fatal("nothing to say")
	}
}

// P19: random leaders that write, close and lose streams never make a replica
// believe a revision that is still to be written or not applied there.
func TestRandomNeverBelievesTooMuch_P19(t *testing.T) {
	for seed := uint64(0); seed < 200; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, rand.New(rand.NewPCG(seed, 3))) })
	}
}

type simRange struct {
	term    proto.Term
	leader  int
	log     []proto.Revision // revision of each entry, 0: none
	terms   []proto.Term
	grant   proto.Revision // bound, to be appended
	applied int            // by the replica
	last    proto.Revision
}

func simulate(t *testing.T, rng *rand.Rand) {
	const peers = 2
	ranges := make([]*simRange, 5)
	senders := make([]*Sender, peers)
	wire := make([][]*pontoonpb.ClosedUpdate, peers)
	for i := range senders {
		senders[i] = NewSender()
	}
	for i := range ranges {
		ranges[i] = &simRange{term: 1, log: []proto.Revision{0}, terms: []proto.Term{1}}
	}
	r := NewReceiver()
	seen := proto.Revision(1)
	for range 3000 {
		i := rng.IntN(len(ranges))
		id, g := proto.RangeID(i+1), ranges[i]
		n := rng.IntN(peers)
		switch rng.IntN(9) {
		case 0: // ask: leave first
			if g.grant == 0 {
				senders[g.leader].Leave(id)
				seen++
				g.grant = seen
			}
		case 1: // append and apply on the leader
			if g.grant != 0 {
				g.log, g.terms = append(g.log, g.grant), append(g.terms, g.term)
				g.grant = 0
			}
		case 2:
			if g.grant == 0 {
				senders[g.leader].Enter(id, g.term, proto.Index(len(g.log)), always)
			}
		case 3:
			senders[n].Close(seen, 1, held)
		case 4:
			if u := senders[n].Flush(); u != nil {
				wire[n] = append(wire[n], u)
			}
		case 5:
			if len(wire[n]) > 0 {
				r.Update(proto.NodeID(n+1), wire[n][0])
				wire[n] = wire[n][1:]
			}
		case 6:
			g.applied = min(len(g.log), g.applied+1+rng.IntN(2))
		case 7:
			if rng.IntN(10) == 0 { // another leader; the grant of the old one is lost
				senders[g.leader].Leave(id)
				g.leader, g.grant = n, 0
				g.term++
				g.log, g.terms = append(g.log, 0), append(g.terms, g.term)
			}
		case 8:
			if rng.IntN(20) == 0 {
				senders[n].Reset()
				wire[n] = nil
				r.Reset(proto.NodeID(n + 1))
			}
		}
		for i, g := range ranges {
			if g.applied == 0 {
				continue
			}
			c := r.Closed(proto.RangeID(i+1), g.terms[g.applied-1], proto.Index(g.applied))
			if c < g.last {
				t.Fatalf("closed fell from %d to %d", g.last, c)
			}
			g.last = c
			for at, rev := range g.log {
				if rev != 0 && rev <= c && at >= g.applied {
					t.Fatalf("range %d closed at %d, entry %d with revision %d not applied", i+1, c, at, rev)
				}
			}
			if g.grant != 0 && g.grant <= c {
				t.Fatalf("range %d closed at %d above grant %d", i+1, c, g.grant)
			}
		}
	}
}
