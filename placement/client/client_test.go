package client_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// record checks S1 and S2 over all nodes, and that no number comes twice.
type record struct {
	t       *testing.T
	highest atomic.Int64 // granted in an answer that arrived
	mu      sync.Mutex
	numbers map[int64]bool
}

func newRecord(t *testing.T) *record { return &record{t: t, numbers: map[int64]bool{}} }

func (r *record) granted(before int64, g client.Grant, count int64) {
	first := int64(g.First)
	if first <= before {
		r.t.Errorf("S1: granted %d although %d was granted before it was asked", first, before)
	}
	if int64(g.Read) < before || int64(g.Read) >= first {
		r.t.Errorf("P8: grant of %d comes with read revision %d, %d was granted before", first, g.Read, before)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := first; n < first+count; n++ {
		if r.numbers[n] {
			r.t.Errorf("%d granted twice", n)
		}
		r.numbers[n] = true
	}
	for {
		have := r.highest.Load()
		if have >= first+count-1 || r.highest.CompareAndSwap(have, first+count-1) {
			return
		}
	}
}

func (r *record) read(before int64, rev proto.Revision) {
	if int64(rev) < before {
		r.t.Errorf("S2: read %d although %d was granted before it was asked", rev, before)
	}
}

// dense fails if a number below the highest was not granted.
func (r *record) dense() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := int64(2); n <= r.highest.Load(); n++ {
		if !r.numbers[n] {
			r.t.Fatalf("S3: %d was never granted, %d is the highest", n, r.highest.Load())
		}
	}
}

// load has every node ask and read until stop is closed.
func (c *cluster) load(r *record, stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		for range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(n.id), rand.Uint64()))
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := r.highest.Load()
					if rng.IntN(3) == 0 {
						if read, err := n.client.ReadRevision(context.Background()); err == nil {
							r.read(before, read.Revision)
						} else {
							r.t.Error(err)
						}
						continue
					}
					count := 1 + rng.Int64N(5)
					g, err := n.grant(count)
					if err != nil {
						r.t.Error(err)
						continue
					}
					r.granted(before, g, count)
					if n.client.Seen() < g.First+proto.Revision(count)-1 {
						r.t.Errorf("seen is %d after a grant of %d", n.client.Seen(), g.First)
					}
				}
			})
		}
	}
	return &wg
}

// S1, S2, P7: leaders come and go without a word, replies are lost; numbers
// stay unique and ordered.
func TestS1S2UnderLeaderChanges(t *testing.T) {
	c := start(t, 3, func(o *client.Options) { o.ReplyTimeout = 200 * time.Millisecond })
	c.elect(1)
	r := newRecord(t)
	stop := make(chan struct{})
	wg := c.load(r, stop)
	for i := range 24 {
		target := r.highest.Load() + 300
		c.nodes[proto.NodeID(i%3+1)].lose.Store(2)
		await(t, func() bool { return r.highest.Load() >= target })
		if i%2 == 0 {
			c.elect(proto.NodeID(i%3 + 1))
		}
	}
	close(stop)
	wg.Wait()
}

// S3, P6, P7: while leaders hand over, lost replies and streams burn nothing.
func TestS3DenseWithoutCrashes(t *testing.T) {
	c := start(t, 3, nil)
	c.elect(1)
	r := newRecord(t)
	stop := make(chan struct{})
	wg := c.load(r, stop)
	for i := range 9 {
		target := r.highest.Load() + 300
		leader := c.nodes[proto.NodeID(i%3+1)]
		leader.lose.Store(2)
		await(t, func() bool { return r.highest.Load() >= target && leader.lose.Load() == 0 })
		for _, n := range c.nodes {
			mustRead(t, n) // answered after what was lost is answered again
		}
		if err := leader.server.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.elect(proto.NodeID((i+1)%3 + 1))
		leader.server.Lost(c.root.term - 1)
	}
	close(stop)
	wg.Wait()
	r.dense()
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("nothing goes on")
		}
		<-tick.C
	}
}

// P9: after a compaction an ask is granted nothing until it is made under the
// new floor; the node then knows it, and so does whoever listens.
func TestP9EpochsChange(t *testing.T) {
	c := start(t, 2, nil)
	c.elect(1)
	n := c.nodes[2]
	told := make(chan client.Epochs, 4)
	n.client.OnEpochs(func(e client.Epochs) { told <- e })
	mustGrant(t, n, 1)
	old := n.client.Epochs()
	c.root.mu.Lock()
	c.root.epochs.Floor = 1
	c.nodes[1].server.Applied(c.root.limit, c.root.epochs)
	c.root.mu.Unlock()
	if g := mustGrant(t, n, 1); !g.EpochsChanged || g.First != 0 || g.Floor != 1 {
		t.Fatalf("got %+v", g)
	}
	if e := <-told; e.Floor != 1 {
		t.Fatalf("told %+v", e)
	}
	c.root.mu.Lock()
	c.root.epochs.Alarm = 1
	c.nodes[1].server.Applied(c.root.limit, c.root.epochs)
	c.root.mu.Unlock()
	if g := mustGrant(t, n, 0); !g.EpochsChanged || g.Read != 2 {
		t.Fatalf("an ask for no numbers got %+v", g)
	}
	if g := mustGrant(t, n, 1); g.EpochsChanged || g.First != 3 {
		t.Fatalf("got %+v", g)
	}
	// What was checked before the change is refused here already.
	got := make(chan client.Grant, 1)
	n.client.AskUnder(old, 1, func(g client.Grant, _ error) { got <- g })
	if g := <-got; !g.EpochsChanged || g.First != 0 {
		t.Fatalf("got %+v", g)
	}
	if g := mustGrant(t, n, 1); g.First != 4 {
		t.Fatalf("got %+v, want 4: the refused ask took a number", g)
	}
}

// A node whose own replica leads needs no connection.
func TestLocalLeader(t *testing.T) {
	c := start(t, 1, func(o *client.Options) { o.Peers = nil })
	c.elect(1)
	n := c.nodes[1]
	if r := mustRead(t, n); r.Revision != 1 || r.Floor != proto.NeverCompacted {
		t.Fatalf("empty store reads %+v", r)
	}
	if g := mustGrant(t, n, 2); g.First != 2 || g.Read != 1 {
		t.Fatalf("got %+v", g)
	}
	if r := mustRead(t, n); r.Revision != 3 {
		t.Fatalf("read %+v", r)
	}
}

// silent is a sequencer that never answers.
type silent struct{}

func (silent) Leading() bool { return true }

func (s silent) Serve(ctx context.Context, _ *pontoonpb.SequenceAsk) (*pontoonpb.SequenceReply, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Without a sequencer callers get a typed error after the timeout, not before,
// and in order.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := client.New(client.Options{
			Node: 1, Boot: 1, Local: silent{}, Roots: func() []proto.NodeID { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		defer c.Close()
		began := time.Now()
		order := make(chan int, 100)
		for i := range 100 {
			c.Ask(1, func(_ client.Grant, err error) {
				if !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
					t.Errorf("got %v", err)
				}
				order <- i
			})
		}
		if _, err := c.ReadRevision(context.Background()); !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(began); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("waited %v", waited)
		}
		synctest.Wait()
		for i := range 100 {
			if got := <-order; got != i {
				t.Fatalf("ask %d was answered in place %d", got, i)
			}
		}
	})
}

// late is a sequencer that is not one until it is elected.
type late struct{ leads atomic.Bool }

func (l *late) Leading() bool { return l.leads.Load() }

func (l *late) Serve(_ context.Context, a *pontoonpb.SequenceAsk) (*pontoonpb.SequenceReply, error) {
	return &pontoonpb.SequenceReply{Sequence: a.Sequence, Term: 7, First: 2, Read: 1,
		Epochs: &pontoonpb.Epochs{Floor: int64(proto.NeverCompacted)}}, nil
}

// A node that gains the sequencer asks it at once, however long it would have
// waited before it looked again.
func TestRedirectEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &late{}
		c, err := client.New(client.Options{
			Node: 1, Boot: 1, Local: l, Roots: func() []proto.NodeID { return nil }, MaxBackoff: time.Hour, Timeout: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		defer c.Close()
		answered := make(chan time.Time, 1)
		c.Ask(1, func(g client.Grant, err error) {
			if g.First != 2 || err != nil {
				t.Errorf("%+v, %v", g, err)
			}
			answered <- time.Now()
		})
		time.Sleep(time.Minute) // pauses are 5 s long now
		synctest.Wait()
		l.leads.Store(true)
		elected := time.Now()
		c.Redirect(1)
		if waited := (<-answered).Sub(elected); waited > time.Millisecond {
			t.Errorf("answered %v after the election", waited)
		}
	})
}

// Close answers whoever waits, and whoever comes later.
func TestClose(t *testing.T) {
	c, err := client.New(client.Options{
		Node: 1, Boot: 1, Local: silent{}, Roots: func() []proto.NodeID { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	errs := make(chan error, 2)
	c.Ask(1, func(_ client.Grant, err error) { errs <- err })
	c.Close()
	c.Ask(1, func(_ client.Grant, err error) { errs <- err })
	for range 2 {
		if err := <-errs; !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := c.ReadRevision(context.Background()); err == nil {
		t.Fatal("a closed client answered")
	}
}

// script is a local sequencer whose answers a test gives.
type script struct {
	asked   chan *pontoonpb.SequenceAsk
	replies chan *pontoonpb.SequenceReply
}

func (script) Leading() bool { return true }

func (s script) Serve(ctx context.Context, ask *pontoonpb.SequenceAsk) (*pontoonpb.SequenceReply, error) {
	select {
	case s.asked <- ask:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-s.replies:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func scripted(t *testing.T) (*client.Client, script) {
	s := script{make(chan *pontoonpb.SequenceAsk), make(chan *pontoonpb.SequenceReply)}
	c, err := client.New(client.Options{
		Node: 1, Boot: 1, Local: s, Roots: func() []proto.NodeID { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	t.Cleanup(c.Close)
	return c, s
}

func reply(ask *pontoonpb.SequenceAsk, term uint64, read int64) *pontoonpb.SequenceReply {
	r := &pontoonpb.SequenceReply{Sequence: ask.Sequence, Term: term, Read: read, Epochs: ask.Epochs}
	if ask.Count > 0 {
		r.First = read + 1
	}
	return r
}

// P7: a reply of a root term below the highest known is dropped, the ask goes
// out again under its sequence.
func TestP7LowerTermDropped(t *testing.T) {
	c, s := scripted(t)
	got := make(chan client.Grant, 1)
	done := func(g client.Grant, _ error) { got <- g }
	c.Ask(1, done)
	s.replies <- reply(<-s.asked, 7, 10)
	if g := <-got; g.First != 11 {
		t.Fatalf("got %+v", g)
	}
	c.Ask(1, done)
	first := <-s.asked
	s.replies <- reply(first, 6, 5)
	again := <-s.asked
	if again.Sequence != first.Sequence {
		t.Fatalf("asked again under sequence %d, was %d", again.Sequence, first.Sequence)
	}
	s.replies <- reply(again, 8, 20)
	if g := <-got; g.First != 21 {
		t.Fatalf("got %+v", g)
	}
	if c.Seen() != 21 {
		t.Fatalf("seen %d", c.Seen())
	}
}

// P8, I1: who asks for a read revision while a message is away gets it from
// the next one; all who wait share it.
func TestP8ReadFromLaterMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t)
		read := func() <-chan client.Read {
			got := make(chan client.Read, 1)
			go func() {
				r, err := c.ReadRevision(context.Background())
				if err != nil {
					t.Error(err)
				}
				got <- r
			}()
			return got
		}
		first := read()
		away := <-s.asked
		second, third := read(), read()
		synctest.Wait()
		s.replies <- reply(away, 1, 10)
		if r := <-first; r.Revision != 10 {
			t.Fatalf("first read %+v", r)
		}
		s.replies <- reply(<-s.asked, 1, 30)
		if a, b := <-second, <-third; a.Revision != 30 || b.Revision != 30 {
			t.Fatalf("later reads %+v, %+v", a, b)
		}
	})
}

// Asks made while a message is away are dealt out of one message, in order.
func TestFoldingOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t)
		var got []proto.Revision
		done := func(g client.Grant, _ error) { got = append(got, g.First) }
		c.Ask(1, done)
		away := <-s.asked
		for i := range int64(4) {
			c.Ask(i+1, done)
			c.Ask(0, done)
		}
		synctest.Wait()
		s.replies <- reply(away, 1, 10)
		folded := <-s.asked
		if folded.Count != 10 {
			t.Fatalf("folded %d numbers", folded.Count)
		}
		s.replies <- reply(folded, 1, 11)
		synctest.Wait()
		want := []proto.Revision{11, 12, 0, 13, 0, 15, 0, 18, 0}
		for i, w := range want {
			if got[i] != w {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// P8: a push raises seen, nothing lowers it.
func TestP8Push(t *testing.T) {
	c, s := scripted(t)
	c.ObservePush(50)
	c.ObservePush(40)
	if c.Seen() != 50 {
		t.Fatalf("seen %d", c.Seen())
	}
	go func() { s.replies <- reply(<-s.asked, 1, 45) }()
	if r, err := c.ReadRevision(t.Context()); err != nil || r.Revision != 45 {
		t.Fatalf("%v %v", r, err)
	}
	if c.Seen() != 50 {
		t.Fatalf("seen %d", c.Seen())
	}
}

// A stream of another cluster is refused.
func TestOtherCluster(t *testing.T) {
	c := start(t, 2, func(o *client.Options) {
		o.Timeout = 300 * time.Millisecond
		if o.Node == 2 {
			o.ClusterID++
		}
	})
	c.elect(1)
	if _, err := c.nodes[2].grant(1); !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
		t.Fatalf("got %v", err)
	}
}

var _ client.Local = (*sequencer.Server)(nil)
