package leaderlease

import (
	"testing"
	"time"
)

// P3: however often it is asked, and however late, a replica campaigns only
// once its promise is over.
func TestNoCampaignUnderThePromise_P3(t *testing.T) {
	p, e := NewPromise(time.Second, 0, false), NewElection(time.Second, 0)
	for at := Nanos(0); at < 5000*ms; at += 7 * ms {
		if at%(630*ms) == 0 {
			p.Heard(at)
		}
		if d := e.Decide(at, p.Until(), 0); d.Campaign && !p.Free(at) {
			t.Fatalf("campaigned at %v under a promise until %v", at, p.Until())
		}
	}
	p.Heard(10_000 * ms)
	for range 100 {
		if e.Decide(10_999*ms, p.Until(), 0).Campaign {
			t.Fatal("a burst of decisions campaigned")
		}
	}
}

// The first voter campaigns the moment the promise is over, the next one only
// if the first did not win within a round of votes.
func TestCampaignsByRank(t *testing.T) {
	first, second := NewElection(time.Second, 0), NewElection(time.Second, 0)
	const free = 1000 * ms
	if !first.Decide(free, free, 0).Silent || !second.Decide(free, free, 1).Silent {
		t.Fatal("silence not noticed")
	}
	d := first.Decide(free, free, 0)
	if !d.Campaign {
		t.Fatalf("first voter: %+v", d)
	}
	d = second.Decide(free, free, 1)
	if d.Campaign || d.Next != free.Add(second.Stagger()) {
		t.Fatalf("second voter: %+v", d)
	}
	if d = second.Decide(d.Next, free, 1); d.Silent || !d.Campaign {
		t.Fatalf("second voter when its turn comes: %+v", d)
	}
	if d = second.Decide(free, free, -1); d.Campaign || d.Next != Never {
		t.Fatalf("no voter: %+v", d)
	}
}

// A candidate that finds no majority asks again, less and less often, and one
// that heard a leader meanwhile starts over.
func TestCampaignsAgainLater(t *testing.T) {
	e := NewElection(time.Second, 0)
	var at []Nanos
	for now := Nanos(0); now < 4000*ms; now += ms {
		if e.Decide(now, Never, 0).Campaign {
			at = append(at, now)
		}
	}
	want := []Nanos{ms, 251 * ms, 751 * ms, 1751 * ms, 2751 * ms, 3751 * ms}
	if len(at) != len(want) {
		t.Fatal(at)
	}
	for i := range want {
		if at[i] != want[i] {
			t.Fatal(at)
		}
	}
	if d := e.Decide(4000*ms, 4500*ms, 0); d.Campaign || d.Next != 4500*ms || e.Silent() {
		t.Fatalf("%+v", d)
	}
	if !e.Decide(4500*ms, 4500*ms, 0).Silent || !e.Decide(4500*ms, 4500*ms, 0).Campaign {
		t.Fatal("the wait of old tries still counts")
	}
}

func TestVotersWaitAndTheLongestLogHurries(t *testing.T) {
	e := NewElection(time.Second, 0)
	e.Decide(0, Never, 1)
	e.Voted(10 * ms)
	if e.Decide(200*ms, Never, 1).Campaign {
		t.Fatal("campaigned against the candidate it just voted for")
	}
	e.Hurry(210 * ms)
	if !e.Decide(210*ms, Never, 1).Campaign {
		t.Fatal("let a candidate with a shorter log try again first")
	}
	e.Postpone(1000 * ms)
	if !e.Decide(1000*ms, Never, 0).Silent || e.Decide(1999*ms, Never, 0).Campaign || !e.Decide(2000*ms, Never, 0).Campaign {
		t.Fatal("a leader that stepped down must leave the next term to others")
	}
}
