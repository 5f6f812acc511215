package transport

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// clusterHeader carries the cluster id on streams whose frames do not.
const clusterHeader = "pontoon-cluster"

func (t *Transport) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, clusterHeader, strconv.FormatUint(t.opts.ClusterID, 16))
}

func (t *Transport) checkCluster(id uint64) error {
	if id != t.opts.ClusterID {
		return status.Errorf(codes.FailedPrecondition, "cluster id is %x, not %x", t.opts.ClusterID, id)
	}
	return nil
}

// Server is the part of the Peer service that this package serves. The node's
// service embeds it beside the parts of other packages.
type Server struct{ t *Transport }

// Server returns the serving side.
func (t *Transport) Server() *Server { return &Server{t: t} }

// Raft takes the frames of one peer.
func (s *Server) Raft(stream grpc.ClientStreamingServer[pontoonpb.RaftFrame, pontoonpb.RaftAck]) error {
	t := s.t
	id := t.streams.Add(1)
	var from proto.NodeID
	defer func() {
		if from != 0 {
			t.opts.Handler.RaftStreamEnded(from, id)
		}
	}()
	for t.ctx.Err() == nil {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pontoonpb.RaftAck{})
		}
		if err != nil {
			return err
		}
		if err := t.checkCluster(f.ClusterId); err != nil { // I4
			return err
		}
		if from == 0 {
			from = proto.NodeID(f.FromNode)
		}
		t.opts.Handler.RaftFrame(from, id, f)
	}
	return status.Error(codes.Unavailable, "node is stopping")
}

// Ops runs the operations of one peer and answers as they finish. A stream that
// ends well, as when the node drains, leaves no doubt: what was not answered was
// not begun (I2).
func (s *Server) Ops(stream grpc.BidiStreamingServer[pontoonpb.OpFrame, pontoonpb.OpReplyFrame]) error {
	t := s.t
	md, _ := metadata.FromIncomingContext(stream.Context())
	id, err := strconv.ParseUint(first(md.Get(clusterHeader)), 16, 64)
	if err != nil {
		return status.Error(codes.FailedPrecondition, "cluster id is missing")
	}
	if err := t.checkCluster(id); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	stop := context.AfterFunc(t.ctx, cancel)
	defer stop()
	c := &callee{t: t, ctx: ctx, running: map[uint64]context.CancelFunc{}, pages: map[uint64]bool{}, wake: make(chan struct{}, 1)}
	if !t.enter() {
		return nil
	}
	defer t.callees.Done()
	go c.read(stream, cancel)
	err = c.write(stream)
	c.end(cancel)
	return err
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// callee is the serving side of one Ops stream.
type callee struct {
	t    *Transport
	ctx  context.Context // of the stream
	wg   sync.WaitGroup
	wake chan struct{}

	mu       sync.Mutex
	running  map[uint64]context.CancelFunc
	replies  []*pontoonpb.OpReply
	pages    map[uint64]bool // calls that keep room for a page
	draining bool            // what is running is the last
}

func (c *callee) read(stream grpc.BidiStreamingServer[pontoonpb.OpFrame, pontoonpb.OpReplyFrame], end context.CancelFunc) {
	defer end()
	for {
		f, err := stream.Recv()
		if err != nil {
			return
		}
		for _, call := range f.Calls {
			c.start(call)
		}
	}
}

func (c *callee) start(call *pontoonpb.OpCall) {
	if call.Cancel {
		c.mu.Lock()
		if cancel := c.running[call.Id]; cancel != nil {
			cancel()
		}
		c.mu.Unlock()
		return
	}
	var ctx context.Context
	var cancel context.CancelFunc
	if call.TimeoutNanos > 0 {
		ctx, cancel = context.WithTimeout(c.ctx, time.Duration(call.TimeoutNanos))
	} else {
		ctx, cancel = context.WithCancel(c.ctx)
	}
	c.mu.Lock()
	if c.t.drains() {
		c.mu.Unlock()
		cancel()
		return
	}
	if c.ctx.Err() != nil || len(c.running) >= c.t.opts.CallQueue {
		c.mu.Unlock()
		cancel()
		c.answer(call.Id, &pontoonpb.RangeReply{Error: proto.ToWire(unavailable("too many operations in flight"))})
		return
	}
	c.running[call.Id] = cancel
	c.wg.Add(1)
	c.mu.Unlock()
	c.t.pool.run(func() {
		defer c.wg.Done()
		reply := c.do(ctx, call)
		cancel()
		c.answer(call.Id, reply)
	})
}

// do runs an operation. The room that it took for a page is kept until that was sent
// (I1).
func (c *callee) do(ctx context.Context, call *pontoonpb.OpCall) *pontoonpb.RangeReply {
	ctx, p := c.t.withPlace(ctx, call.Op)
	reply := c.t.opts.Handler.Do(ctx, call.Op)
	if p != nil && p.taken {
		c.mu.Lock()
		c.pages[call.Id] = true
		c.mu.Unlock()
	}
	return reply
}

// end lets no operation begin any more, and waits for those that did: none
// outlives the stream, nor the node (I2).
func (c *callee) end(cancel context.CancelFunc) {
	c.mu.Lock() // start looks whether the stream has ended and counts its call in one step
	cancel()
	c.mu.Unlock()
	c.wg.Wait()
	if n := len(c.pages); n > 0 {
		c.t.pages.Release(int64(n))
	}
}

func (c *callee) answer(id uint64, reply *pontoonpb.RangeReply) {
	c.mu.Lock()
	delete(c.running, id)
	c.replies = append(c.replies, &pontoonpb.OpReply{Id: id, Reply: reply})
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends the replies that wait, frame by frame, until all is answered that
// was begun before the node drains.
func (c *callee) write(stream grpc.BidiStreamingServer[pontoonpb.OpFrame, pontoonpb.OpReplyFrame]) error {
	drain := c.t.draining
	for {
		c.mu.Lock()
		n, bytes, pages := 0, 0, int64(0)
		for n < len(c.replies) && bytes < c.t.opts.FrameBytes {
			bytes += c.replies[n].SizeVT()
			if id := c.replies[n].Id; c.pages[id] {
				delete(c.pages, id)
				pages++
			}
			n++
		}
		f := &pontoonpb.OpReplyFrame{Replies: c.replies[:n:n]}
		if c.replies = c.replies[n:]; len(c.replies) == 0 {
			c.replies = nil
		}
		c.mu.Unlock()
		if n > 0 {
			err := stream.Send(f)
			if pages > 0 {
				c.t.pages.Release(pages)
			}
			if err != nil {
				return err
			}
			continue
		}
		if c.answered() {
			return nil
		}
		select {
		case <-drain:
			drain = nil
			c.mu.Lock()
			c.draining = true
			c.mu.Unlock()
		case <-c.wake:
			runtime.Gosched() // what is about to be answered goes along
		case <-c.ctx.Done():
			return status.FromContextError(c.ctx.Err()).Err()
		}
	}
}

// answered reports whether a draining stream has nothing left to answer.
func (c *callee) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining && len(c.running) == 0 && len(c.replies) == 0
}
