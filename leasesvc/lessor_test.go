package leasesvc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func grant(t *testing.T, s *Service, id, ttl int64) {
	t.Helper()
	if _, err := s.LeaseGrant(t.Context(), grantRequest(id, ttl)); err != nil {
		t.Fatal(err)
	}
}

// A lease without keepalives is revoked soon after its time, one with them is
// not.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		r.lessor.Start()
		defer r.lessor.Close()
		s := r.service()
		grant(t, s, 7, 2)
		grant(t, s, 8, 3)
		for range 6 {
			time.Sleep(time.Second)
			if resp, err := s.keepAlive(t.Context(), 8); err != nil || resp.TTL != 3 {
				t.Fatalf("got %v, %v", resp, err)
			}
		}
		synctest.Wait()
		if got := r.gone(); !slices.Equal(got, []int64{7}) {
			t.Fatalf("revoked %v", got)
		}
		time.Sleep(3600 * time.Millisecond)
		synctest.Wait()
		if got := r.gone(); !slices.Equal(got, []int64{7, 8}) {
			t.Fatalf("revoked %v", got)
		}
	})
}

// P39: a keepalive during a revocation waits for the outcome: TTL 0 if the
// lease went, renewed if not.
func TestP39KeepAliveWaits(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRanges()
			hold := make(chan error)
			r.revoke = func(int64, uint64, uint64) error { return <-hold }
			s := r.service()
			grant(t, s, 7, 60)
			go s.LeaseRevoke(context.Background(), revokeRequest(7))
			synctest.Wait()
			ttl := make(chan int64, 1)
			go func() {
				resp, err := s.keepAlive(context.Background(), 7)
				if err != nil {
					t.Error(err)
				}
				ttl <- resp.GetTTL()
			}()
			synctest.Wait()
			select {
			case got := <-ttl:
				t.Fatalf("answered TTL %d during the revocation", got)
			default:
			}
			want := int64(0)
			if fails {
				want = 60
				hold <- errors.New("no quorum")
			} else {
				hold <- nil
			}
			if got := <-ttl; got != want {
				t.Fatalf("TTL %d, want %d", got, want)
			}
		})
	}
}

// P39: an expiry that finds another term or a renewal is dropped.
func TestP39ExpiryRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		s := r.service()
		grant(t, s, 7, 2)
		time.Sleep(3 * time.Second)
		for _, c := range []struct{ term, renewals uint64 }{{2, 0}, {3, 1}} {
			err := r.lessor.BeginRevoke(7, c.term, c.renewals)
			if !proto.HasCode(err, pontoonpb.RangeErrorCode_LEASE_CHANGED) {
				t.Fatalf("term %d, renewals %d: %v", c.term, c.renewals, err)
			}
		}
		if err := r.lessor.BeginRevoke(7, 3, 0); err != nil {
			t.Fatal(err)
		}
		if err := r.lessor.BeginRevoke(99, 0, 0); !isLeaseNotFound(err) {
			t.Fatalf("unknown lease: %v", err)
		}
	})
}

// Whoever waits when leadership is lost is sent elsewhere; a new leader gives
// the full time again and an election timeout.
func TestLeaderChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		r.lessor.Start()
		defer r.lessor.Close()
		s := r.service()
		grant(t, s, 7, 5)
		time.Sleep(4 * time.Second)
		home := proto.RangeID(2)
		if err := r.lessor.BeginRevoke(7, 0, 0); err != nil {
			t.Fatal(err)
		}
		waited := make(chan error)
		go func() {
			_, err := r.lessor.Serve(context.Background(), home, &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_KEEPALIVE, Id: 7})
			waited <- err
		}()
		synctest.Wait()
		r.lessor.Lost(home)
		if err := <-waited; !proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_LEADER) {
			t.Fatalf("got %v", err)
		}
		r.lessor.Gained(home, 5, keys.LeaseSpan, []*pontoonpb.LeaseRecord{r.records[7]})
		time.Sleep(5900 * time.Millisecond)
		if got := r.gone(); len(got) != 0 {
			t.Fatalf("revoked %v before its time", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.gone(); !slices.Equal(got, []int64{7}) {
			t.Fatalf("revoked %v", got)
		}
	})
}

// Expiries that fail come again, and are bounded in flight.
func TestExpiryRetriesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		var mu sync.Mutex
		running, most, tries := 0, 0, 0
		r.revoke = func(int64, uint64, uint64) error {
			mu.Lock()
			running++
			tries++
			most = max(most, running)
			first := tries <= 40
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
			if first {
				return errors.New("no quorum")
			}
			return nil
		}
		r.lessor.Start()
		defer r.lessor.Close()
		s := r.service()
		for id := range int64(40) {
			grant(t, s, id+1, 2)
		}
		time.Sleep(2600 * time.Millisecond)
		if got := r.gone(); len(got) != 0 {
			t.Fatalf("revoked %v", got)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := r.gone(); len(got) != 40 || most != 16 || tries != 80 {
			t.Fatalf("revoked %d, %d at once, %d tries", len(got), most, tries)
		}
	})
}

// A split: the lease goes with its span, the old range sends elsewhere.
func TestSplitOfLeaseRange(t *testing.T) {
	r := newRanges()
	s := r.service()
	grant(t, s, 7, 60)
	grant(t, s, 1000, 60)
	left := proto.Span{Start: keys.LeaseSpan.Start, End: keys.Lease(500)}
	r.lessor.Gained(2, 3, left, []*pontoonpb.LeaseRecord{r.records[7]})
	ask := func(range_ proto.RangeID, id int64) (*pontoonpb.LeaseReply, error) {
		return r.lessor.Serve(t.Context(), range_, &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_KEEPALIVE, Id: id})
	}
	if reply, err := ask(2, 7); err != nil || reply.TtlSeconds != 60 {
		t.Fatalf("got %v, %v", reply, err)
	}
	if reply, err := ask(2, 1000); !proto.HasCode(err, pontoonpb.RangeErrorCode_NOT_LEADER) {
		t.Fatalf("the left side answered %v, %v: its client would see a live lease as expired", reply, err)
	}
}

// I3: a renewal that clears a checkpoint is answered after the log says so.
func TestI3CheckpointCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		r.lessor = NewLessor(LessorOptions{Revoker: r, Sender: r, Seen: r.Seen, CheckpointInterval: time.Minute})
		r.lessor.Gained(2, 3, keys.LeaseSpan, nil)
		r.lessor.Start()
		defer r.lessor.Close()
		s := r.service()
		grant(t, s, 7, 600)
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if left := r.records[7].RemainingSeconds; left < 500 || left > 540 {
			t.Fatalf("checkpoint says %d", left)
		}
		if resp, err := s.keepAlive(t.Context(), 7); err != nil || resp.TTL != 600 {
			t.Fatalf("got %v, %v", resp, err)
		}
		if left := r.records[7].RemainingSeconds; left != 0 {
			t.Fatalf("checkpoint says %d after a renewal was answered", left)
		}
	})
}
