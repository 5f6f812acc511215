package peers

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func plain() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
}

// server answers and counts frames.
type server struct {
	pontoonpb.UnimplementedPeerServer
	frames chan struct{}
}

func (*server) Describe(context.Context, *pontoonpb.DescribeRequest) (*pontoonpb.DescribeReply, error) {
	return &pontoonpb.DescribeReply{}, nil
}

func (s *server) Raft(stream pontoonpb.Peer_RaftServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		s.frames <- struct{}{}
	}
}

// A removed node's calls are refused, and so is what it sends on a stream that
// was open before; it hears why.
func TestRemovedNodeIsTurnedAway(t *testing.T) {
	var removed, refused atomic.Bool
	guard := Guard{Self: 1, Removed: func(id proto.NodeID) bool { return id == 7 && removed.Load() }, Reason: "gone"}
	s := &server{frames: make(chan struct{}, 10)}
	g := grpc.NewServer(guard.Options()...)
	pontoonpb.RegisterPeerServer(g, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go g.Serve(l)
	defer g.Stop()

	p := New(Options{Self: 7, Dial: plain(), OnRefused: func() { refused.Store(true) }})
	defer p.Close()
	if err := p.Set(1, "http://"+l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	conn, err := p.Conn(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := pontoonpb.NewPeerClient(conn)
	if _, err := c.Describe(ctx, &pontoonpb.DescribeRequest{}); err != nil {
		t.Fatal(err)
	}
	stream, err := c.Raft(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pontoonpb.RaftFrame{}); err != nil {
		t.Fatal(err)
	}
	<-s.frames

	removed.Store(true)
	_, err = c.Describe(ctx, &pontoonpb.DescribeRequest{})
	if status.Code(err) != codes.PermissionDenied || status.Convert(err).Message() != "gone" || !refused.Swap(false) {
		t.Errorf("a call: %v", err)
	}
	_ = stream.Send(&pontoonpb.RaftFrame{})
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.PermissionDenied || !refused.Load() {
		t.Errorf("an open stream: %v", err)
	}
	if len(s.frames) != 0 {
		t.Error("a frame of a removed node got through")
	}
}

// What is meant for a node does not reach another one that has its address now.
func TestAnotherNodeAtTheAddress(t *testing.T) {
	s := &server{frames: make(chan struct{}, 10)}
	g := grpc.NewServer(Guard{Self: 2, Removed: func(proto.NodeID) bool { return false }}.Options()...)
	pontoonpb.RegisterPeerServer(g, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go g.Serve(l)
	defer g.Stop()
	p := New(Options{Self: 7, Dial: plain()})
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for id, want := range map[proto.NodeID]codes.Code{1: codes.FailedPrecondition, 2: codes.OK} {
		if err := p.Set(id, "http://"+l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		conn, err := p.Conn(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = pontoonpb.NewPeerClient(conn).Describe(ctx, &pontoonpb.DescribeRequest{}); status.Code(err) != want {
			t.Errorf("node %d: %v", id, err)
		}
		stream, err := pontoonpb.NewPeerClient(conn).Raft(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&pontoonpb.RaftFrame{})
		if want == codes.OK {
			<-s.frames
		} else if _, err := stream.CloseAndRecv(); status.Code(err) != want {
			t.Errorf("a stream to node %d: %v", id, err)
		}
	}
	if len(s.frames) != 0 {
		t.Error("a frame reached another node")
	}
}

// What is removed stays away, whoever tells an address of it.
func TestRemovedPeerHasNoAddress(t *testing.T) {
	p := New(Options{Self: 7, Dial: plain()})
	defer p.Close()
	for _, id := range []proto.NodeID{1, 2} {
		if err := p.Set(id, "http://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
	}
	p.Remove(1)
	if err := p.Set(1, "http://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Conn(1); err == nil || len(p.Nodes()) != 1 {
		t.Errorf("still reachable: %v, %v", p.Nodes(), err)
	}
}

// Both ends count what passes between them, as bytes of the other one.
func TestTrafficIsCountedOnBothEnds(t *testing.T) {
	reg := [2]*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
	here, there := NewTraffic(reg[0]), NewTraffic(reg[1])
	s := &server{frames: make(chan struct{}, 100)}
	guard := Guard{Self: 1, Removed: func(proto.NodeID) bool { return false }}
	g := grpc.NewServer(guard.Options()...)
	pontoonpb.RegisterPeerServer(g, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go g.Serve(there.Listener(l))
	defer g.Stop()

	p := New(Options{Self: 7, Dial: plain(), Traffic: here})
	if err := p.Set(1, "http://"+l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	conn, err := p.Conn(1)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := pontoonpb.NewPeerClient(conn).Raft(t.Context(), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	const frames, size = 10, 10_000
	for range frames {
		if err := stream.Send(&pontoonpb.RaftFrame{Messages: []*pontoonpb.RaftMessage{{Message: make([]byte, size)}}}); err != nil {
			t.Fatal(err)
		}
		<-s.frames
	}
	if !p.Up(1) || p.Up(2) {
		t.Errorf("up: %v, %v", p.Up(1), p.Up(2))
	}
	// A frame may have come before its sender counts it.
	await(t, "all frames to be counted", func() bool { return series(t, reg[0], "pontoon_peer_sent_bytes_total", "1") >= frames*size })
	sent, received := series(t, reg[0], "pontoon_peer_sent_bytes_total", "1"), series(t, reg[1], "pontoon_peer_received_bytes_total", "7")
	if sent > frames*size*3/2 {
		t.Errorf("sent %v bytes for %d frames of %d", sent, frames, size)
	}
	// The first frame may come with the call that says whose connection it is.
	if received < (frames-2)*size || received > sent {
		t.Errorf("received %v bytes of %v", received, sent)
	}
	await(t, "what came back", func() bool { return series(t, reg[0], "pontoon_peer_received_bytes_total", "1") > 0 })
	p.Close()
	await(t, "the disconnect", func() bool { return series(t, reg[0], "pontoon_peer_disconnects_total", "1") == 1 })
	p.Remove(1)
	if n := series(t, reg[0], "pontoon_peer_sent_bytes_total", "1"); n != 0 {
		t.Errorf("a removed node is still counted: %v", n)
	}
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("timed out waiting for ", what)
		}
	}
}

// series returns a counter by its only label, 0 if there is none.
func series(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.Metric {
			if f.GetName() == name && m.Label[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// Nobody opens a connection once they were closed: it would stay open.
func TestNoConnectionAfterClose(t *testing.T) {
	p := New(Options{Dial: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}})
	if err := p.Set(2, "http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Conn(2); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := p.Conn(2); !errors.Is(err, ErrClosed) {
		t.Fatalf("opened after the end: %v", err)
	}
	p.Retry(t.Context(), 2)
	if p.Up(2) {
		t.Fatal("up after the end")
	}
}
