package admission

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
)

// server answers requests in the order of their coming, so many a second, and now
// and then not for a while.
type server struct {
	gate  *Gate
	queue chan func()
}

func serve(t *testing.T, g *Gate, perSecond int, stalls bool) *server {
	s := &server{g, make(chan func(), 1<<20)}
	t.Cleanup(func() { close(s.queue) })
	go func() {
		n := 0
		for done := range s.queue {
			if n++; stalls && n%(5*perSecond) == 0 {
				time.Sleep(500 * time.Millisecond)
			}
			time.Sleep(time.Second / time.Duration(perSecond))
			done()
		}
	}()
	return s
}

// ask takes a place and waits for the answer, however long that takes; false: it was
// refused.
func (s *server) ask(from int, wait time.Duration) bool {
	a := conn(from)
	if s.gate.enter(a, 1, wait) != "" {
		return false
	}
	began := time.Now()
	defer func() { s.gate.leave(a, 1, time.Since(began)) }()
	answered := make(chan struct{})
	s.queue <- func() { close(answered) }
	<-answered
	return true
}

// At four times what a node can do it does what it can, and in time.
func TestPaceKeepsAnswersInTime(t *testing.T) {
	for name, stalls := range map[string]bool{"steady": false, "stalling": true} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { keepsAnswersInTime(t, stalls) }) })
	}
}

func keepsAnswersInTime(t *testing.T, stalls bool) {
	const perSecond, offered, deadline = 1000, 4000, time.Second
	s := serve(t, New(Options{Requests: 5000, Bytes: 1 << 20}), perSecond, stalls)
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	from, to := start.Add(5*time.Second), start.Add(15*time.Second)
	results := make(chan time.Duration, offered*30)
	var clients sync.WaitGroup
	for time.Now().Before(to) {
		sent, client := time.Now(), rnd.IntN(64)
		clients.Go(func() {
			if s.ask(client, deadline) && sent.After(from) {
				results <- time.Since(sent)
			}
		})
		time.Sleep(time.Second / offered)
	}
	clients.Wait()
	close(results)
	useful, late := 0, 0
	for took := range results {
		if took <= deadline {
			useful++
		} else {
			late++
		}
	}
	if most := perSecond * 10; useful < most*85/100 || late > most/20 {
		t.Errorf("%d of %d are useful, %d late", useful, most, late)
	}
}

// Clients who wait for their answers are never refused for coming late, however slow
// the node is; also not those whose answers come in time while it stalls now and then.
func TestPaceLetsClientsQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		clients, perSecond int
		wait               time.Duration
	}{
		"patient": {1000, 500, longest},
		"in time": {350, 1000, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, New(Options{Requests: 5000, Bytes: 1 << 20}), tc.perSecond, true)
				end := time.Now().Add(30 * time.Second)
				var refused atomic.Int64
				var clients sync.WaitGroup
				for i := range tc.clients {
					clients.Go(func() {
						for time.Now().Before(end) {
							if !s.ask(i, tc.wait) {
								refused.Add(1)
								return
							}
						}
					})
				}
				clients.Wait()
				if n := refused.Load(); n > 0 {
					t.Errorf("%d clients were refused", n)
				}
			})
		})
	}
}

// tell tells a pace of answers for so long, so many a second, each of which took so
// long.
func tell(p *pace, now *time.Time, during time.Duration, perSecond int, took time.Duration) {
	for range int(during.Seconds() * float64(perSecond)) {
		*now = now.Add(time.Second / time.Duration(perSecond))
		p.answered(*now, took)
	}
}

// What fits is what a slow node answers at its best of late; one that keeps up again
// takes all.
func TestPaceFollows(t *testing.T) {
	now := time.Now()
	p := newPace(now)
	tell(&p, &now, time.Second, 2000, time.Millisecond)
	if p.perSecond() != 0 {
		t.Error("a node that keeps up has a limit")
	}
	tell(&p, &now, time.Second, 2000, time.Second)
	if r := p.perSecond(); r < 1990 || r > 2010 || fits(r, time.Second) < 790 || fits(r, time.Second) > 810 {
		t.Errorf("of 2,000 a second %v are known", r)
	}
	tell(&p, &now, 2*time.Second, 200, time.Second)
	if r := p.perSecond(); r < 1990 {
		t.Errorf("a short slowness counts: %v", r)
	}
	tell(&p, &now, 11*time.Second, 200, time.Second)
	if r := p.perSecond(); r < 190 || r > 210 {
		t.Errorf("of 200 a second %v are known", r)
	}
	tell(&p, &now, time.Second, 200, slowAfter*3/4)
	if p.perSecond() == 0 {
		t.Error("a queue still stands")
	}
	tell(&p, &now, time.Second, 200, time.Millisecond)
	if p.perSecond() != 0 {
		t.Error("a node that keeps up again has a limit")
	}
	if got := fits(1, time.Second); got != narrowest {
		t.Errorf("a very slow node takes %d", got)
	}
	if a, b, c := fits(1000, time.Second/2), fits(1000, time.Second), fits(1000, 5*time.Second); a != 200 || b != 400 || c != 4400 {
		t.Errorf("of 1,000 a second %d, %d and %d are let in for clients of half a second, one and five", a, b, c)
	}
	if fits(1000, time.Hour) != fits(1000, longest) {
		t.Error("more is taken for who waits longer than the node")
	}
}

// Long reads beside short requests do not make a node slow, nor do failures.
func TestPaceIsNotNarrowed(t *testing.T) {
	now := time.Now()
	p := newPace(now)
	for i := range 10000 {
		now = now.Add(10 * time.Millisecond)
		took := time.Millisecond
		if i%3 == 0 {
			took = 20 * time.Second
		}
		p.answered(now, took)
	}
	if p.perSecond() != 0 {
		t.Error("long reads make a node slow")
	}
	synctest.Test(t, func(t *testing.T) {
		g, a := New(Options{Requests: 5000, Bytes: 1 << 20}), conn(1)
		turn := func(took time.Duration) {
			if reason := g.enter(a, 1, time.Hour); reason != "" {
				t.Fatal(reason)
			}
			time.Sleep(time.Second)
			g.leave(a, 1, took)
		}
		for range 100 {
			turn(0)
		}
		if g.late(0) || g.rate.Load() != 0 {
			t.Error("failures make a node slow")
		}
		for range 100 {
			turn(time.Second)
		}
		if g.rate.Load() == 0 || g.late(time.Second) {
			t.Error("slow answers do not make a node slow, or one alone is late")
		}
		var under []net.Addr
		for i := range narrowest {
			under = append(under, conn(i))
			if reason := g.enter(under[i], 1, time.Second); reason != "" {
				t.Fatal(reason)
			}
		}
		if reason := g.enter(a, 1, time.Second); reason != reasonLate {
			t.Errorf("behind %d: %q", narrowest, reason)
		}
		for _, a := range under {
			g.leave(a, 1, time.Second)
		}
	})
}

// The tap and the request itself go by the deadline that came with it.
func TestDeadlineDecides(t *testing.T) {
	g := New(Options{Requests: 5000, Bytes: 1 << 20})
	g.pace.crowded, g.pace.best = true, 1000
	for i := range 500 {
		if reason := g.enter(conn(i), 1, longest); reason != "" {
			t.Fatal(reason)
		}
	}
	ask := func(wait time.Duration) (early, unary error) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		_, early = g.tap(ctx, &tap.Info{FullMethodName: pb.KV_Put_FullMethodName})
		_, unary = g.unary(ctx, &pb.PutRequest{}, &grpc.UnaryServerInfo{FullMethod: pb.KV_Put_FullMethodName},
			func(context.Context, any) (any, error) { return nil, nil })
		return early, unary
	}
	if early, unary := ask(time.Second); early != rpctypes.ErrGRPCRequestTooManyRequests || unary != rpctypes.ErrGRPCRequestTooManyRequests {
		t.Errorf("who waits for a second behind half a second: %v, %v", early, unary)
	}
	if early, unary := ask(2 * time.Second); early != nil || unary != nil {
		t.Errorf("who waits for two seconds: %v, %v", early, unary)
	}
	if _, err := g.tap(t.Context(), &tap.Info{FullMethodName: pb.KV_Put_FullMethodName}); err != nil {
		t.Errorf("who does not say how long: %v", err)
	}
	if _, err := g.tap(t.Context(), &tap.Info{FullMethodName: pb.Lease_LeaseKeepAlive_FullMethodName}); err != nil {
		t.Errorf("I4: %v", err)
	}
}
