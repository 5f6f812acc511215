package autocompact

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
)

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		mode, retention string
		want            string // of the error
		interval        time.Duration
	}{
		{"periodic", "0", "", 0},
		{"periodic", "0s", "", 0},
		{"revision", "0", "", 0},
		{"periodic", "1", "", 6 * time.Minute},
		{"periodic", "24", "", 6 * time.Minute},
		{"periodic", "5s", "", 500 * time.Millisecond},
		{"revision", "1000", "", 5 * time.Minute},
		{"periodic", "soon", "error parsing CompactionRetention", 0},
		{"periodic", "-5s", "must not be negative", 0},
		{"revision", "5m", "must be a number of revisions", 0},
		{"", "1", "undefined auto-compaction-mode", 0},
		{"daily", "1", `unknown auto-compaction-mode "daily"`, 0},
	} {
		p, err := New(tc.mode, tc.retention)
		switch {
		case tc.want != "":
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s %s: %v", tc.mode, tc.retention, err)
			}
		case err != nil || (p == nil) != (tc.interval == 0):
			t.Errorf("%s %s: %v, %v", tc.mode, tc.retention, p, err)
		case p != nil && p.Interval() != tc.interval:
			t.Errorf("%s %s: every %v", tc.mode, tc.retention, p.Interval())
		}
	}
}

// store is a history that grows by one revision a second of virtual time.
type store struct {
	began time.Time

	mu   sync.Mutex
	err  error
	lead bool
	did  []compaction
}

type compaction struct {
	after time.Duration
	rev   int64
}

func (s *store) newest() proto.Revision { return 1 + proto.Revision(time.Since(s.began)/time.Second) }

func (s *store) leading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lead
}

func (s *store) set(lead bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lead, s.err = lead, err
}

func (s *store) Compact(_ context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.did = append(s.did, compaction{time.Since(s.began), r.Revision})
	}
	return nil, s.err
}

func (s *store) take() []compaction {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	did := s.did
	s.did = nil
	return did
}

func drive(t *testing.T, mode, retention string, fn func(*store)) {
	synctest.Test(t, func(t *testing.T) {
		plan, err := New(mode, retention)
		if err != nil {
			t.Fatal(err)
		}
		s := &store{began: time.Now(), lead: true}
		d := NewDriver(Options{Plan: plan, Compactor: s, Newest: s.newest, Leading: s.leading})
		d.Start()
		fn(s)
		d.Close()
	})
}

// cut is the revision of the compaction that comes that many hours after the
// first: the sample before the one a period ago, as in etcd.
func cut(i int) int64 {
	if i == 0 {
		return 1
	}
	return 1 + int64(i)*3600 - 360
}

// The first compaction comes after one period, at the revision of its start;
// later ones at the revision of a period ago.
func TestPeriodicHour(t *testing.T) {
	drive(t, "periodic", "1", func(s *store) {
		time.Sleep(59 * time.Minute)
		if did := s.take(); did != nil {
			t.Fatal(did)
		}
		time.Sleep(121 * time.Minute)
		did := s.take()
		if len(did) != 3 {
			t.Fatal(did)
		}
		for i, c := range did {
			if c.after != time.Duration(i+1)*time.Hour || c.rev != cut(i) {
				t.Errorf("%d: %+v", i, c)
			}
		}
	})
}

// With a period of more than an hour the history is cut every hour, a period
// back.
func TestPeriodicDay(t *testing.T) {
	drive(t, "periodic", "24", func(s *store) {
		time.Sleep(24*time.Hour - time.Minute)
		if did := s.take(); did != nil {
			t.Fatal(did)
		}
		time.Sleep(2*time.Hour + 2*time.Minute)
		did := s.take()
		if len(did) != 3 {
			t.Fatal(did)
		}
		for i, c := range did {
			if c.after != time.Duration(24+i)*time.Hour || c.rev != cut(i) {
				t.Errorf("%d: %+v", i, c)
			}
		}
	})
}

// A follower samples and leaves compaction to the leader; once it leads it goes
// on at once. A failure is tried again at the next sample.
func TestPeriodicFailover(t *testing.T) {
	drive(t, "periodic", "10m", func(s *store) {
		s.set(false, nil)
		time.Sleep(time.Hour)
		if did := s.take(); did != nil {
			t.Fatal(did)
		}
		s.set(true, errors.New("no quorum"))
		time.Sleep(5 * time.Minute)
		if did := s.take(); did != nil {
			t.Fatal(did)
		}
		s.set(true, nil)
		time.Sleep(61 * time.Second)
		did := s.take()
		if len(did) != 1 || did[0].rev < 55*60-60 || did[0].rev > 57*60 {
			t.Fatal(did)
		}
		// Somebody else compacted further: nothing is tried until there is more.
		s.set(true, rpctypes.ErrGRPCCompacted)
		time.Sleep(10 * time.Minute)
		s.set(true, nil)
		time.Sleep(9 * time.Minute)
		if did := s.take(); did != nil {
			t.Fatal(did)
		}
	})
}

func TestRevision(t *testing.T) {
	drive(t, "revision", "1000", func(s *store) {
		time.Sleep(16 * time.Minute) // 301, 601, 901 revisions are not enough
		if did := s.take(); did != nil {
			t.Fatal(did)
		}
		time.Sleep(10 * time.Minute)
		did := s.take()
		if len(did) != 2 || did[0] != (compaction{20 * time.Minute, 201}) || did[1] != (compaction{25 * time.Minute, 501}) {
			t.Fatal(did)
		}
		s.set(false, nil)
		time.Sleep(time.Hour)
		if did := s.take(); did != nil {
			t.Error("a follower compacts", did)
		}
	})
}

func TestOff(t *testing.T) {
	drive(t, "periodic", "0", func(s *store) {
		time.Sleep(1000 * time.Hour)
		if did := s.take(); did != nil {
			t.Error(did)
		}
	})
}
