package leasesvc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func grantRequest(id, ttl int64) *etcdpb.LeaseGrantRequest {
	return &etcdpb.LeaseGrantRequest{ID: id, TTL: ttl}
}

func revokeRequest(id int64) *etcdpb.LeaseRevokeRequest { return &etcdpb.LeaseRevokeRequest{ID: id} }

// Quirk 37: least TTL, largest TTL, chosen and random ids, duplicates.
func TestGrant(t *testing.T) {
	r := newRanges()
	s := r.service()
	for _, c := range []struct {
		id, ttl, want int64
		err           error
	}{
		{1, 0, 2, nil}, {2, -7, 2, nil}, {3, 2, 2, nil}, {4, 3, 3, nil}, {0, 60, 60, nil},
		{5, MaxTTL, MaxTTL, nil}, {6, MaxTTL + 1, 0, rpctypes.ErrGRPCLeaseTTLTooLarge},
		{4, 10, 0, rpctypes.ErrGRPCLeaseExist}, {4, MaxTTL + 1, 0, rpctypes.ErrGRPCLeaseTTLTooLarge},
	} {
		resp, err := s.LeaseGrant(t.Context(), grantRequest(c.id, c.ttl))
		if c.err != nil {
			if !errors.Is(err, c.err) && (err == nil || err.Error() != c.err.Error()) {
				t.Errorf("%+v: got %v", c, err)
			}
			continue
		}
		if err != nil || resp.TTL != c.want || resp.ID <= 0 || c.id != 0 && resp.ID != c.id || resp.Header.Revision != 10 {
			t.Errorf("%+v: got %v, %v", c, resp, err)
		}
	}
	if r.records[1].Incarnation == 0 || r.records[1].Incarnation == r.records[2].Incarnation {
		t.Error("incarnations are not distinct")
	}
}

// Quirk 38: what unknown leases are answered.
func TestUnknownLease(t *testing.T) {
	r := newRanges()
	s := r.service()
	ttl, err := s.LeaseTimeToLive(t.Context(), &etcdpb.LeaseTimeToLiveRequest{ID: 9, Keys: true})
	if err != nil || ttl.TTL != -1 || ttl.GrantedTTL != 0 || ttl.ID != 9 || ttl.Keys != nil || ttl.Header.Revision != 10 {
		t.Errorf("time to live: %v, %v", ttl, err)
	}
	alive, err := s.keepAlive(t.Context(), 9)
	if err != nil || alive.TTL != 0 || alive.ID != 9 {
		t.Errorf("keepalive: %v, %v", alive, err)
	}
	if _, err := s.LeaseRevoke(t.Context(), revokeRequest(9)); err == nil || err.Error() != rpctypes.ErrGRPCLeaseNotFound.Error() {
		t.Errorf("revoke: %v", err)
	}
}

// Keys come from every range under a registered span, once each and sorted,
// also when the map of ranges is out of date.
func TestTimeToLiveKeys(t *testing.T) {
	r := newRanges(keys.User([]byte("f")), keys.User([]byte("m")), keys.User([]byte("t")))
	s := r.service()
	grant(t, s, 7, 60)
	h := NewHome(r)
	for _, sp := range []proto.Span{
		{Start: keys.User([]byte("a")), End: keys.User([]byte("f"))},
		{Start: keys.User([]byte("c")), End: keys.User([]byte("n"))},
		keys.Point(keys.User([]byte("z"))),
	} {
		if inc, found, err := h.Register(t.Context(), 7, sp); err != nil || !found || inc != r.records[7].Incarnation {
			t.Fatalf("got %d %v %v", inc, found, err)
		}
	}
	r.keys[7] = []string{"z", "b", "d", "mm", "g", "q"} // q: no longer registered
	r.stale = cut([][]byte{keys.LeaseSpan.Start, keys.UserSpan.Start})
	ttl, err := s.LeaseTimeToLive(t.Context(), &etcdpb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range ttl.Keys {
		got = append(got, string(k))
	}
	if !slices.Equal(got, []string{"b", "d", "g", "mm", "z"}) || ttl.GrantedTTL != 60 || ttl.TTL != 59 && ttl.TTL != 60 {
		t.Fatalf("got %v, %v", got, ttl)
	}
	plain, err := s.LeaseTimeToLive(t.Context(), &etcdpb.LeaseTimeToLiveRequest{ID: 7})
	if err != nil || plain.Keys != nil {
		t.Fatalf("got %v, %v", plain, err)
	}
}

// The list covers all lease ranges, those that expire first first.
func TestLeases(t *testing.T) {
	r := newRanges(keys.Lease(100))
	s := r.service()
	for id, ttl := range map[int64]int64{1: 300, 2: 100, 150: 200, 160: 50} {
		grant(t, s, id, ttl)
	}
	resp, err := s.LeaseLeases(t.Context(), &etcdpb.LeaseLeasesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, l := range resp.Leases {
		got = append(got, l.ID)
	}
	if !slices.Equal(got, []int64{160, 2, 150, 1}) {
		t.Fatalf("got %v", got)
	}
}

// P39: while the root range is away keepalives go on with the revision that is
// known, and wait for an exact one only now and then.
func TestP39RootOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		s := r.service()
		grant(t, s, 7, 60)
		r.readErr = errors.New("no sequencer")
		began := time.Now()
		for range 1000 {
			resp, err := s.keepAlive(t.Context(), 7)
			if err != nil || resp.TTL != 60 || resp.Header.Revision != 9 {
				t.Fatalf("got %v, %v", resp, err)
			}
		}
		if took := time.Since(began); took > 600*time.Millisecond {
			t.Fatalf("1000 keepalives took %v", took)
		}
		time.Sleep(2 * time.Second)
		r.readErr = nil
		if resp, err := s.keepAlive(t.Context(), 7); err != nil || resp.Header.Revision != 10 {
			t.Fatalf("got %v, %v", resp, err)
		}
	})
}

// A keepalive outlives a change of leader, and ends with etcd's error when
// there is none for too long.
func TestKeepAliveWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		s := r.service()
		grant(t, s, 7, 60)
		r.down = proto.NotLeader(0)
		go func() {
			time.Sleep(time.Second)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.down = nil
		}()
		if resp, err := s.keepAlive(t.Context(), 7); err != nil || resp.TTL != 60 {
			t.Fatalf("got %v, %v", resp, err)
		}
		r.down = proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no quorum")
		began := time.Now()
		if _, err := s.keepAlive(t.Context(), 7); !errors.Is(err, rpctypes.ErrGRPCTimeout) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(began); took < 6*time.Second || took > 8*time.Second {
			t.Fatalf("gave up after %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.keepAlive(ctx, 7); !errors.Is(err, rpctypes.ErrGRPCCanceled) {
			t.Fatalf("got %v", err)
		}
	})
}

// P38: registrations made while one is away share the next message.
func TestP38RegistrationsBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanges()
		s := r.service()
		grant(t, s, 7, 60)
		r.hold = make(chan struct{})
		h := NewHome(r)
		done := make(chan error, 20)
		register := func(i int) {
			_, found, err := h.Register(context.Background(), 7, keys.Point(keys.User([]byte{byte(i)})))
			if err == nil && !found {
				err = errors.New("not found")
			}
			done <- err
		}
		go register(0)
		synctest.Wait()
		for i := range 19 {
			go register(i + 1)
		}
		synctest.Wait()
		close(r.hold)
		for range 20 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		messages := 0
		for _, op := range r.sent {
			if op.GetLease().GetKind() == pontoonpb.LeaseOpKind_LEASE_REGISTER {
				messages++
			}
		}
		if messages != 2 || len(r.records[7].Registered) != 20 {
			t.Fatalf("%d messages, %d spans", messages, len(r.records[7].Registered))
		}
		synctest.Wait()
		if len(h.leases) != 0 {
			t.Fatal("something is left behind")
		}
		if _, found, err := h.Register(context.Background(), 99, keys.Point(keys.User([]byte("k")))); found || err != nil {
			t.Fatalf("unknown lease: %v, %v", found, err)
		}
	})
}

// A hole in the map of ranges is an error, never a partial answer (P21).
func TestP21CoverHole(t *testing.T) {
	r := newRanges(keys.Lease(100), keys.Lease(200))
	r.descs = slices.Delete(r.descs, 1, 2)
	if _, err := r.service().LeaseLeases(t.Context(), &etcdpb.LeaseLeasesRequest{}); err == nil {
		t.Fatal("listed with a hole")
	}
}
