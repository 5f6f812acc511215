package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// end is one node of a pair for tests, and its handler.
type end struct {
	t      *testing.T
	tr     *Transport
	lis    *bufconn.Listener
	server *grpc.Server
	peer   *end

	do func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply

	mu       sync.Mutex
	conn     *grpc.ClientConn
	raw      []net.Conn
	frames   []*pontoonpb.RaftFrame
	streams  []uint64
	ended    int
	fresh    int
	snapshot []byte
	refuse   error
}

func (e *end) Conn(proto.NodeID) (*grpc.ClientConn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil {
		c, err := grpc.NewClient("passthrough:///peer", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				conn, err := e.peer.lis.DialContext(ctx)
				if err == nil {
					e.mu.Lock()
					e.raw = append(e.raw, conn)
					e.mu.Unlock()
				}
				return conn, err
			}))
		if err != nil {
			return nil, err
		}
		e.conn = c
	}
	return e.conn, nil
}

func (e *end) Nodes() []proto.NodeID { return []proto.NodeID{1, 2} }

func (e *end) RaftFrame(_ proto.NodeID, stream uint64, f *pontoonpb.RaftFrame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames, e.streams = append(e.frames, f), append(e.streams, stream)
}

func (e *end) RaftStreamEnded(proto.NodeID, uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended++
}

func (e *end) ClosedUpdates(_ proto.NodeID, fresh bool) []*pontoonpb.ClosedUpdate {
	e.mu.Lock()
	defer e.mu.Unlock()
	if fresh {
		e.fresh++
		return []*pontoonpb.ClosedUpdate{{Closed: int64(1000 * e.fresh)}}
	}
	return nil
}

func (e *end) Liveness(proto.NodeID, bool) *pontoonpb.Liveness { return nil }

func (e *end) Do(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	return e.do(ctx, op)
}

func (e *end) SnapshotHave(*pontoonpb.SnapshotHeader) int64 { return int64(len(e.snapshot)) }

func (e *end) Snapshot(_ context.Context, _ *pontoonpb.SnapshotHeader, next func() ([]byte, error)) error {
	if e.refuse != nil {
		return e.refuse
	}
	for {
		b, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e.mu.Lock()
		e.snapshot = append(e.snapshot, b...)
		e.mu.Unlock()
	}
}

func (e *end) OpenFeed(context.Context, *pontoonpb.FeedRequest) (Feed, error) {
	return nil, proto.Mismatch(&pontoonpb.Descriptor{RangeId: 4})
}

type service struct {
	pontoonpb.UnimplementedPeerServer
	s *Server
}

func (p service) Raft(s grpc.ClientStreamingServer[pontoonpb.RaftFrame, pontoonpb.RaftAck]) error {
	return p.s.Raft(s)
}
func (p service) RaftSnapshot(s grpc.ClientStreamingServer[pontoonpb.SnapshotChunk, pontoonpb.SnapshotAck]) error {
	return p.s.RaftSnapshot(s)
}
func (p service) Ops(s grpc.BidiStreamingServer[pontoonpb.OpFrame, pontoonpb.OpReplyFrame]) error {
	return p.s.Ops(s)
}
func (p service) Feed(r *pontoonpb.FeedRequest, s grpc.ServerStreamingServer[pontoonpb.FeedMessage]) error {
	return p.s.Feed(r, s)
}

func newPair(t *testing.T, clusterB uint64) (a, b *end) {
	a, b = &end{t: t}, &end{t: t}
	a.peer, b.peer = b, a
	for i, e := range []*end{a, b} {
		cluster := uint64(7)
		if e == b {
			cluster = clusterB
		}
		tr, err := New(Options{NodeID: proto.NodeID(i + 1), ClusterID: cluster, Peers: e, Handler: e, RetryMin: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		e.tr, e.lis = tr, bufconn.Listen(1<<20)
		e.server = grpc.NewServer(grpc.ForceServerCodecV2(Codec()))
		pontoonpb.RegisterPeerServer(e.server, service{s: tr.Server()})
		go e.server.Serve(e.lis)
	}
	t.Cleanup(func() {
		for _, e := range []*end{a, b} {
			e.tr.Close()
			e.server.Stop()
			if e.conn != nil {
				e.conn.Close()
			}
		}
	})
	return a, b
}

// breakAll cuts every connection from e.
func (e *end) breakAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.raw {
		c.Close()
	}
	e.raw = nil
}

func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("timed out waiting for: ", what)
		}
	}
}

func writeOp() *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{}}}
}

func readOp() *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{}}}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestCallsAreMultiplexed(t *testing.T) {
	a, b := newPair(t, 7)
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	b.do = func(_ context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		mu.Lock()
		if waiting++; waiting == 50 {
			close(all)
		}
		mu.Unlock()
		<-all // all must run at the same time
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Commit{Commit: &pontoonpb.CommitReply{Revision: int64(op.RangeId)}}}
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			op := writeOp()
			op.RangeId = uint64(i)
			reply, err := a.tr.Call(testContext(t), 2, op)
			if err != nil || reply.GetCommit().Revision != int64(i) {
				t.Errorf("call %d: %v %v", i, reply, err)
			}
		}()
	}
	wg.Wait()
}

// P34: a stream that breaks under a call leaves a write ambiguous and a read
// safe; what was never handed to a stream is safe.
func TestFateOfLostCalls_P34(t *testing.T) {
	a, b := newPair(t, 7)
	begun := make(chan struct{}, 2)
	b.do = func(ctx context.Context, _ *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		begun <- struct{}{}
		<-ctx.Done()
		return &pontoonpb.RangeReply{}
	}
	errs := make(chan error, 1)
	for _, tc := range []struct {
		op   *pontoonpb.RangeOp
		want pontoonpb.RangeErrorCode
	}{
		{writeOp(), pontoonpb.RangeErrorCode_AMBIGUOUS},
		{readOp(), pontoonpb.RangeErrorCode_UNAVAILABLE},
	} {
		go func() {
			_, err := a.tr.Call(testContext(t), 2, tc.op)
			errs <- err
		}()
		<-begun
		a.breakAll()
		if err := <-errs; !proto.HasCode(err, tc.want) {
			t.Fatalf("%T: %v, want %v", tc.op.Op, err, tc.want)
		}
	}
	b.server.Stop()
	b.lis.Close()
	if _, err := a.tr.Call(testContext(t), 2, writeOp()); !proto.HasCode(err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
		t.Fatalf("unsent write: %v", err)
	}
}

// P34: a node that drains answers what it began; what reached it later was not
// begun, and is safe to send elsewhere.
func TestDrainLeavesNoDoubt_P34(t *testing.T) {
	a, b := newPair(t, 7)
	begun, finish := make(chan struct{}, 10), make(chan struct{})
	b.do = func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		begun <- struct{}{}
		<-finish
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Write{Write: &pontoonpb.WriteReply{Revision: 5}}}
	}
	type result struct {
		reply *pontoonpb.RangeReply
		err   error
	}
	call := func() <-chan result {
		done := make(chan result, 1)
		go func() {
			reply, err := a.tr.Call(testContext(t), 2, writeOp())
			done <- result{reply, err}
		}()
		return done
	}
	first := call()
	<-begun
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		b.tr.Drain(testContext(t))
	}()
	<-b.tr.draining
	late := call()
	wait(t, "a call to be sent while the first is still at work", func() bool {
		c := a.tr.peer(2).ops
		c.mu.Lock()
		defer c.mu.Unlock()
		sent := 0
		for _, k := range c.open {
			if k.sent {
				sent++
			}
		}
		return sent == 2
	})
	close(finish)
	if r := <-late; !proto.HasCode(r.err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
		t.Errorf("what was not begun: %v, %v", r.reply, r.err)
	}
	if r := <-first; r.err != nil || r.reply.GetWrite().Revision != 5 {
		t.Errorf("what was begun: %v, %v", r.reply, r.err)
	}
	<-drained
	if r := <-call(); !proto.HasCode(r.err, pontoonpb.RangeErrorCode_UNAVAILABLE) {
		t.Errorf("after the drain: %v, %v", r.reply, r.err)
	}
	if len(begun) != 0 {
		t.Error("a draining node began an operation")
	}
}

func TestCancelReachesThePeer(t *testing.T) {
	a, b := newPair(t, 7)
	begun, canceled := make(chan struct{}), make(chan struct{})
	b.do = func(ctx context.Context, _ *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		close(begun)
		<-ctx.Done()
		close(canceled)
		return &pontoonpb.RangeReply{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 1)
	go func() {
		_, err := a.tr.Call(ctx, 2, writeOp())
		errs <- err
	}()
	<-begun
	cancel()
	if err := <-errs; !proto.HasCode(err, pontoonpb.RangeErrorCode_AMBIGUOUS) {
		t.Fatal(err)
	}
	<-canceled
}

func TestDeadlineReachesThePeer(t *testing.T) {
	a, b := newPair(t, 7)
	left := make(chan time.Duration, 1)
	b.do = func(ctx context.Context, _ *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		d, _ := ctx.Deadline()
		left <- time.Until(d)
		return &pontoonpb.RangeReply{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if _, err := a.tr.Call(ctx, 2, readOp()); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d <= 0 || d > 3*time.Second {
		t.Fatalf("deadline in %v", d)
	}
}

// P19: a new stream is announced, so that it starts empty on both sides.
func TestRaftStream_P19(t *testing.T) {
	a, b := newPair(t, 7)
	a.tr.Send(2, &pontoonpb.RaftMessage{RangeId: 1, Message: []byte("m1")})
	a.tr.Push(2, 77)
	received := func() (messages int, pushed int64, closed []int64) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.frames {
			messages += len(f.Messages)
			pushed = max(pushed, f.PushRevision)
			for _, u := range f.Closed {
				closed = append(closed, u.Closed)
			}
		}
		return messages, pushed, closed
	}
	wait(t, "first message and push", func() bool { m, p, _ := received(); return m == 1 && p == 77 })
	a.breakAll()
	wait(t, "stream ended", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.ended >= 1 })
	wait(t, "new stream", func() bool {
		a.tr.Send(2, &pontoonpb.RaftMessage{RangeId: 1, Message: []byte("m2")})
		m, _, _ := received()
		return m >= 2
	})
	_, _, closed := received()
	if len(closed) < 2 || closed[0] != 1000 || closed[len(closed)-1] < 2000 {
		t.Fatalf("closed updates %v: each stream must begin with a fresh one", closed)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streams[0] >= b.streams[len(b.streams)-1] {
		t.Fatal("stream numbers do not rise")
	}
}

func TestOtherClusterIsRefused(t *testing.T) {
	a, b := newPair(t, 8)
	b.do = func(context.Context, *pontoonpb.RangeOp) *pontoonpb.RangeReply {
		t.Error("operation of another cluster was run")
		return &pontoonpb.RangeReply{}
	}
	if _, err := a.tr.Call(testContext(t), 2, readOp()); err == nil {
		t.Fatal("call accepted")
	}
	a.tr.Send(2, &pontoonpb.RaftMessage{RangeId: 1})
	err := a.tr.SendSnapshot(testContext(t), 2, &pontoonpb.SnapshotHeader{}, func(func([]byte) error) error { return nil })
	if err == nil {
		t.Fatal("snapshot accepted")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.frames) > 0 {
		t.Fatal("raft frame of another cluster was handled")
	}
}

func TestSnapshotStream(t *testing.T) {
	a, b := newPair(t, 7)
	var want []byte
	send := func() error {
		want = nil
		return a.tr.SendSnapshot(testContext(t), 2, &pontoonpb.SnapshotHeader{}, func(emit func([]byte) error) error {
			for i := range 20 {
				chunk := bytes.Repeat([]byte{byte(i)}, 10000)
				want = append(want, chunk...)
				if err := emit(chunk); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.snapshot, want) {
		t.Fatal("records differ")
	}
	b.refuse = errors.New("not now")
	if err := send(); err == nil {
		t.Fatal("refusal not told")
	}
}

func TestFeedRefusalIsTyped(t *testing.T) {
	a, _ := newPair(t, 7)
	f, err := a.tr.OpenFeed(testContext(t), 2, &pontoonpb.FeedRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := f.Recv(testContext(t))
	if err != nil || m.Ended.GetCode() != pontoonpb.RangeErrorCode_RANGE_MISMATCH || m.Ended.Descriptors[0].RangeId != 4 {
		t.Fatal(m, err)
	}
}

func TestRaftQueueIsBounded(t *testing.T) {
	a, _ := newPair(t, 7)
	s := newRaftSender(a.tr, 2)
	a.tr.opts.RaftQueue = 3
	for i := range 5 {
		if ok := s.send(&pontoonpb.RaftMessage{}); ok != (i < 3) {
			t.Fatalf("message %d queued: %v", i, ok)
		}
	}
}
