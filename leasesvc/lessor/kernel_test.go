package lessor

import (
	"errors"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

var start = time.Unix(1_000_000, 0)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func granted(id, ttl int64) *pontoonpb.LeaseRecord {
	return &pontoonpb.LeaseRecord{Id: id, TtlSeconds: ttl, Incarnation: 1}
}

func config() Config {
	return Config{Extend: time.Second, RevokeRate: 1000, RetryInterval: 3 * time.Second}
}

func leading(records ...*pontoonpb.LeaseRecord) *Kernel {
	return New(config(), start, 5, keys.LeaseSpan, records)
}

func ids(list []Expiry) []proto.LeaseID {
	var out []proto.LeaseID
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

func wantDue(t *testing.T, k *Kernel, seconds float64, want ...proto.LeaseID) []Expiry {
	t.Helper()
	got := k.Due(at(seconds), 100)
	if len(got) != len(want) {
		t.Fatalf("at %v s due %v, want %v", seconds, ids(got), want)
	}
	for i := range want {
		if got[i].ID != want[i] {
			t.Fatalf("at %v s due %v, want %v", seconds, ids(got), want)
		}
	}
	return got
}

// A lease is due when its time is over, not before.
func TestGrantExpires(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 5))
	k.Put(at(0), granted(8, 3))
	wantDue(t, k, 2.99)
	wantDue(t, k, 3, 8)
	wantDue(t, k, 4.99)
	wantDue(t, k, 5, 7)
}

// I1: after a change of leader a lease has its full TTL and an election
// timeout again, or what was checkpointed.
func TestI1NewLeaderExtends(t *testing.T) {
	short := granted(9, 100)
	short.RemainingSeconds = 4
	k := leading(granted(7, 10), short)
	wantDue(t, k, 4.99)
	wantDue(t, k, 5, 9)
	wantDue(t, k, 10.99, 9) // tried again
	wantDue(t, k, 11, 7)
}

// P39: an expiry is begun only for the term and renewals it was decided under.
func TestP39ExpiryRefused(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 5))
	e := wantDue(t, k, 5, 7)[0]
	for name, c := range map[string]struct {
		term     proto.Term
		renewals uint64
		when     float64
		want     error
	}{
		"other term":     {e.Term + 1, e.Renewals, 6, ErrChanged},
		"other renewals": {e.Term, e.Renewals + 1, 6, ErrChanged},
		"not yet":        {e.Term, e.Renewals, 4, ErrChanged},
		"as decided":     {e.Term, e.Renewals, 6, nil},
		"client":         {0, 99, 1, nil},
	} {
		if err := k.BeginRevoke(at(c.when), 7, c.term, c.renewals); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if err := k.BeginRevoke(at(6), 99, 0, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown lease: %v", err)
	}
}

// P39: a lease that was renewed after it was decided to expire it cannot be:
// the renewal count differs. (A new leader's extension makes that possible.)
func TestP39RenewalCounts(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 5))
	if s, outcome, _ := k.Renew(at(4), 7); outcome != Renewed || s.Renewals != 1 {
		t.Fatalf("got %+v, %v", s, outcome)
	}
	if err := k.BeginRevoke(at(20), 7, 5, 0); !errors.Is(err, ErrChanged) {
		t.Fatalf("an expiry from before the renewal began: %v", err)
	}
	if err := k.BeginRevoke(at(20), 7, 5, 1); err != nil {
		t.Fatal(err)
	}
}

// P39, I3: what is past its time or being revoked is not renewed.
func TestP39RenewWaits(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 5))
	k.Put(at(0), granted(8, 50))
	if _, outcome, _ := k.Renew(at(5), 7); outcome != Wait {
		t.Fatalf("renewed an expired lease: %v", outcome)
	}
	if err := k.BeginRevoke(at(1), 8, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, outcome, _ := k.Renew(at(2), 8); outcome != Wait {
		t.Fatalf("renewed during a revocation: %v", outcome)
	}
	k.EndRevoke(8, false)
	if _, outcome, _ := k.Renew(at(3), 8); outcome != Renewed {
		t.Fatalf("not renewed after a revocation that failed: %v", outcome)
	}
	if err := k.BeginRevoke(at(4), 8, 0, 0); err != nil {
		t.Fatal(err)
	}
	k.EndRevoke(8, true)
	if _, outcome, _ := k.Renew(at(5), 8); outcome != Wait {
		t.Fatalf("renewed between the revocation and its apply: %v", outcome)
	}
	k.Delete(8)
	if _, outcome, _ := k.Renew(at(5), 8); outcome != Unknown {
		t.Fatalf("renewed a lease that is gone: %v", outcome)
	}
}

// I4: an unfinished expiry comes due again after the retry interval, but not
// while its revocation runs.
func TestRetry(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 5))
	wantDue(t, k, 5, 7)
	wantDue(t, k, 7.9)
	wantDue(t, k, 8, 7)
	if err := k.BeginRevoke(at(8), 7, 5, 0); err != nil {
		t.Fatal(err)
	}
	wantDue(t, k, 11)
	k.EndRevoke(7, false)
	wantDue(t, k, 14, 7)
	k.Delete(7)
	wantDue(t, k, 30)
}

// I4: leases that all got their time at once are spread over what can be
// revoked.
func TestSpread(t *testing.T) {
	var records []*pontoonpb.LeaseRecord
	for id := int64(1); id <= 5000; id++ {
		records = append(records, granted(id, 10))
	}
	k := leading(records...)
	total := 0
	for s := 0.0; s < 20; s += 0.5 {
		n := len(k.Due(at(s), 10_000))
		if s < 11 && n > 0 {
			t.Fatalf("%d due at %v s, before their time", n, s)
		}
		if n > 500 {
			t.Fatalf("%d due at %v s", n, s)
		}
		total += n
		for id := range k.leases { // what is due is gone
			if k.leases[id].check.After(k.leases[id].expiry) {
				k.Delete(id)
			}
		}
	}
	if total != 5000 {
		t.Fatalf("%d came due", total)
	}
}

// The limit of one round leaves the rest due.
func TestDueLimit(t *testing.T) {
	k := leading()
	for id := int64(1); id <= 10; id++ {
		k.Put(at(float64(id)/100), granted(id, 5))
	}
	if got := k.Due(at(6), 4); len(got) != 4 || got[0].ID != 1 || got[3].ID != 4 {
		t.Fatalf("got %v", ids(got))
	}
	if got := k.Due(at(6), 100); len(got) != 6 {
		t.Fatalf("got %v", ids(got))
	}
}

// TTL floors the remaining seconds and is never negative; the list is sorted
// by remaining time.
func TestStatusAndList(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 10))
	k.Put(at(0), granted(8, 5))
	k.Put(at(0.5), granted(9, 5))
	for _, c := range []struct {
		when float64
		want int64
	}{{0, 10}, {0.1, 9}, {9.5, 0}, {12.5, 0}} {
		if s, ok := k.Status(at(c.when), 7); !ok || s.Seconds() != c.want {
			t.Errorf("at %v: %v %d, want %d", c.when, ok, s.Seconds(), c.want)
		}
	}
	var got []proto.LeaseID
	for _, s := range k.List(at(1)) {
		got = append(got, s.ID)
	}
	if len(got) != 3 || got[0] != 8 || got[1] != 9 || got[2] != 7 {
		t.Fatalf("listed %v", got)
	}
	if _, ok := k.Status(at(1), 99); ok {
		t.Fatal("an unknown lease has a status")
	}
}

// A registration does not touch a lease's time; another incarnation is another
// lease.
func TestPutAgain(t *testing.T) {
	k := leading()
	k.Put(at(0), granted(7, 5))
	k.Renew(at(1), 7)
	registered := granted(7, 5)
	registered.Registered = []*pontoonpb.Span{keys.UserSpan.Wire()}
	k.Put(at(4), registered)
	if s, _ := k.Status(at(4), 7); s.Seconds() != 2 || s.Renewals != 1 || len(s.Record.Registered) != 1 {
		t.Fatalf("got %+v", s)
	}
	again := granted(7, 5)
	again.Incarnation = 2
	k.Put(at(4), again)
	if s, _ := k.Status(at(4), 7); s.Seconds() != 5 || s.Renewals != 0 {
		t.Fatalf("got %+v", s)
	}
	wantDue(t, k, 8.9)
	wantDue(t, k, 9, 7)
}

// A split takes leases out with their span; those that stay keep their time.
func TestResize(t *testing.T) {
	k := leading(granted(7, 10), granted(1000, 10))
	k.Renew(at(5), 7)
	left := proto.Span{Start: keys.LeaseSpan.Start, End: keys.Lease(500)}
	k.Resize(at(6), left, []*pontoonpb.LeaseRecord{granted(7, 10)})
	if s, ok := k.Status(at(6), 7); !ok || s.Seconds() != 9 || s.Renewals != 1 {
		t.Fatalf("got %+v", s)
	}
	if _, ok := k.Status(at(6), 1000); ok {
		t.Fatal("a lease stayed outside its span")
	}
	k.Put(at(6), granted(600, 10))
	if k.Len() != 1 {
		t.Fatal("a lease outside the span was taken in")
	}
	wantDue(t, k, 100, 7)
}

// Checkpoints write the remaining time down once in an interval; a renewal
// tells that there is one to clear.
func TestCheckpoints(t *testing.T) {
	cfg := config()
	cfg.CheckpointInterval = 5 * time.Minute
	k := New(cfg, start, 5, keys.LeaseSpan, nil)
	k.Put(at(0), granted(7, 1000))
	k.Put(at(0), granted(8, 100))
	if got := k.Checkpoints(at(299), 10); got != nil {
		t.Fatalf("too early: %v", got)
	}
	got := k.Checkpoints(at(300), 10)
	if len(got) != 1 || got[0].Id != 7 || got[0].RemainingSeconds != 700 {
		t.Fatalf("got %v", got)
	}
	if again := k.Checkpoints(at(301), 10); again != nil {
		t.Fatalf("again: %v", again)
	}
	applied := granted(7, 1000)
	applied.RemainingSeconds = 700
	k.Put(at(302), applied)
	if s, outcome, checkpointed := k.Renew(at(303), 7); outcome != Renewed || !checkpointed || s.Seconds() != 1000 {
		t.Fatalf("got %+v %v %v", s, outcome, checkpointed)
	}
	if _, _, checkpointed := k.Renew(at(304), 7); !checkpointed {
		t.Fatal("who was to clear it may have gone away")
	}
	k.Put(at(305), granted(7, 1000))
	if _, _, checkpointed := k.Renew(at(306), 7); checkpointed {
		t.Fatal("cleared again")
	}
}
