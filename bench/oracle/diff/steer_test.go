package diff

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// fakeRanges accepts or refuses every change.
type fakeRanges struct {
	refusal error
	term    uint64
	running chan string // if set, takes what is done
}

func (f *fakeRanges) change(ctx context.Context, what string) error {
	if f.running != nil {
		select {
		case f.running <- what:
		case <-ctx.Done():
		}
	}
	return f.refusal
}

func (f *fakeRanges) Split(ctx context.Context, _ []byte) error {
	return f.change(ctx, "split")
}
func (f *fakeRanges) Merge(ctx context.Context, _ int) error        { return f.change(ctx, "merge") }
func (f *fakeRanges) Move(ctx context.Context, _ int) error         { return f.change(ctx, "move") }
func (f *fakeRanges) Transfer(ctx context.Context, _ int) error     { return f.change(ctx, "transfer") }
func (f *fakeRanges) LeaseTerm(ctx context.Context) (uint64, error) { return f.term, nil }

func runnerOver(ranges Ranges) *Runner {
	return &Runner{subject: &side{Target: Target{Ranges: ranges}}, progress: new(Progress), steering: newSteering()}
}

// The operations go on while a few changes are under way; one more waits for them.
func TestSteeringIsBounded(t *testing.T) {
	f := &fakeRanges{running: make(chan string)}
	r := runnerOver(f)
	kinds := []Kind{KindSplit, KindMerge, KindMove, KindTransfer}
	done := map[string]int{}
	for i := range 2 * maxSteering {
		o := Op{Kind: kinds[i%len(kinds)], Msg: &pb.RangeRequest{}}
		if i >= maxSteering {
			hurry, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := r.steer(hurry, o); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s began beside %d changes: %v", o.Kind, maxSteering, err)
			}
			cancel()
			done[<-f.running]++
		}
		if err := r.steer(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for range maxSteering {
		done[<-f.running]++
	}
	if err := r.awaitSteering(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for i, tally := range []*Tally{&r.progress.Splits, &r.progress.Merges, &r.progress.Moves, &r.progress.Transfers} {
		if got := tally.Done.Load(); got != int64(done[string(kinds[i])]) || tally.Refused.Load() != 0 || got == 0 {
			t.Errorf("%s: %d done, %d refused; %v went through", kinds[i], got, tally.Refused.Load(), done)
		}
	}
}

// A subject that refuses every change fails the run; one that accepted some does not.
func TestSteeringThatIsNeverAcceptedIsAnError(t *testing.T) {
	for _, accepted := range []int64{0, 1} {
		r := runnerOver(&fakeRanges{refusal: errors.New("no such command")})
		r.progress.Merges.Done.Store(accepted)
		var err error
		for range refusalsTolerated {
			if err = errors.Join(err, r.steer(t.Context(), Op{Kind: KindMerge})); err != nil {
				break
			}
		}
		err = errors.Join(err, r.awaitSteering(t.Context(), 0))
		if (err == nil) == (accepted == 0) {
			t.Fatalf("%d accepted: %v", accepted, err)
		}
	}
}

// A lease may show more time than the oracle's only where a new leader began since,
// and no more than that leaves.
func TestLeaseIsExtendedByANewLeaderOnly(t *testing.T) {
	for name, c := range map[string]struct {
		elected         bool
		ago             time.Duration
		oracle, subject int64
		aligned         bool
	}{
		"no new leader":                  {false, 0, 80, 100, false},
		"a new leader":                   {true, 0, 80, 100, true},
		"more than the new leader gives": {true, 0, 80, 100 + electionExtends + ttlSlack + 1, false},
		"its time runs":                  {true, 30 * time.Second, 60, 100 - 30 + electionExtends + ttlSlack, true},
		"its time stands still":          {true, 30 * time.Second, 60, 100, false},
		"less than the oracle":           {true, 0, 80, 70, false},
		"expired on the oracle":          {true, 0, -1, 70, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeRanges{term: 6}
			r := runnerOver(f)
			if err := r.learnLeaseTerm(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.elected {
				f.term++
				if err := r.learnLeaseTerm(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.leases.changed = r.leases.changed.Add(-c.ago)
			}
			oracle := answer{msg: &pb.LeaseTimeToLiveResponse{ID: 1, TTL: c.oracle, GrantedTTL: 100}}
			subject := answer{msg: &pb.LeaseTimeToLiveResponse{ID: 1, TTL: c.subject, GrantedTTL: 100}}
			r.alignExtended(t.Context(), oracle, subject)
			if equalAnswers(oracle, subject) != c.aligned {
				t.Fatalf("oracle %s, subject %s", oracle, subject)
			}
		})
	}
}
