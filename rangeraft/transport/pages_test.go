package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func pageOp() *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{RangeId: 1, Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{MaxBytes: 1}}}
}

// I1: whoever asks, no more pages are under way at a node than it has room for, those
// behind get their turn, and what answers no page does not wait.
func TestPagesAreBounded(t *testing.T) {
	a, b := newPair(t, 7)
	room := int64(a.tr.opts.Pages)
	var under, most atomic.Int64
	full := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	b.do = func(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		if err := TakePlace(ctx); err != nil {
			return &pontoonpb.RangeReply{Error: proto.ToWire(err)}
		}
		if op.GetRead() == nil {
			return &pontoonpb.RangeReply{}
		}
		n := under.Add(1)
		defer under.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == room {
			once.Do(func() { close(full) })
		}
		<-release
		return &pontoonpb.RangeReply{}
	}
	var wg sync.WaitGroup
	for i := range 3 * room {
		wg.Go(func() {
			if i%2 == 0 {
				if reply := b.tr.Local(testContext(t), pageOp()); reply.Error != nil {
					t.Error(reply.Error)
				}
				return
			}
			if _, err := a.tr.Call(testContext(t), 2, pageOp()); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	if reply := b.tr.Local(testContext(t), writeOp()); reply.Error != nil {
		t.Error(reply.Error)
	}
	if _, err := a.tr.Call(testContext(t), 2, writeOp()); err != nil {
		t.Errorf("a write behind pages: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := proto.FromWire(b.tr.Local(short, pageOp()).Error); !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
		t.Errorf("a page for which there is no room: %v", err)
	}
	close(release)
	wg.Wait()
	if most.Load() != room {
		t.Errorf("%d pages at a time, there is room for %d", most.Load(), room)
	}
	allRoom(t, b.tr)
}

// I1: what a stream owed when it broke gives its room back.
func TestPagesOfABrokenStream(t *testing.T) {
	began, release := make(chan struct{}, 3), make(chan struct{})
	e := &end{t: t, do: func(ctx context.Context, _ *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		if err := TakePlace(ctx); err != nil {
			t.Error(err)
		}
		began <- struct{}{}
		<-release
		return &pontoonpb.RangeReply{}
	}}
	tr, err := New(Options{NodeID: 1, ClusterID: 7, Peers: e, Handler: e})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithCancel(t.Context())
	c := &callee{t: tr, ctx: ctx, running: map[uint64]context.CancelFunc{}, pages: map[uint64]bool{}, wake: make(chan struct{}, 1)}
	for id := range uint64(3) {
		c.start(&pontoonpb.OpCall{Id: id, Op: pageOp()})
	}
	for range 3 {
		<-began
	}
	close(release)
	c.end(cancel) // nothing was sent
	allRoom(t, tr)
}

// What waits for its range, and reads nothing yet, takes no room (I1).
func TestWaitingTakesNoRoom(t *testing.T) {
	a, b := newPair(t, 7)
	waiting, release := make(chan struct{}, a.tr.opts.Pages+1), make(chan struct{})
	end := sync.OnceFunc(func() { close(release) })
	t.Cleanup(end)
	b.do = func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		waiting <- struct{}{}
		<-release
		return &pontoonpb.RangeReply{}
	}
	var wg sync.WaitGroup
	late := testContext(t)
	for range a.tr.opts.Pages + 1 {
		wg.Go(func() { _, _ = a.tr.Call(late, 2, pageOp()) })
		select {
		case <-waiting:
		case <-late.Done():
			t.Fatal("a read waits for room before it waits for its range")
		}
	}
	allRoom(t, b.tr)
	end()
	wg.Wait()
}

// allRoom waits until a node has all its room again.
func allRoom(t *testing.T, tr *Transport) {
	t.Helper()
	if err := tr.pages.Acquire(testContext(t), int64(tr.opts.Pages)); err != nil {
		t.Error("some room is lost")
	}
}
