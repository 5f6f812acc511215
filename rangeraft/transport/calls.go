package transport

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// call is one operation in wait or in flight.
type call struct {
	id   uint64
	op   *pontoonpb.RangeOp
	ctx  context.Context // the caller's, for the deadline only
	sent bool            // handed to a stream: may have reached the peer
	done chan outcome    // buffered
}

type outcome struct {
	reply *pontoonpb.RangeReply
	err   error
}

// caller is the outgoing Ops stream to one node.
type caller struct {
	t     *Transport
	to    proto.NodeID
	wake  chan struct{}
	nudge chan struct{} // the next stream is worth a try

	mu      sync.Mutex
	nextID  uint64
	waiting []*call          // not handed to a stream
	cancels []uint64         // to tell the peer
	open    map[uint64]*call // waiting and in flight
	stopped bool
	down    error // why there is no stream: the next one is tried after a wait
}

func newCaller(t *Transport, to proto.NodeID) *caller {
	return &caller{t: t, to: to, wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), open: map[uint64]*call{}}
}

func unavailable(format string, args ...any) error {
	return proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, format, args...)
}

// call queues the operation and waits for its reply.
func (c *caller) call(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	k := &call{op: op, ctx: ctx, done: make(chan outcome, 1)}
	c.mu.Lock()
	if c.stopped || len(c.open) >= c.t.opts.CallQueue {
		c.mu.Unlock()
		return nil, unavailable("node %x: too many operations in flight or stopping", uint64(c.to))
	}
	if c.down != nil {
		defer c.mu.Unlock()
		return nil, unavailable("node %x: %v", uint64(c.to), c.down)
	}
	c.nextID++
	k.id = c.nextID
	c.open[k.id] = k
	c.waiting = append(c.waiting, k)
	c.mu.Unlock()
	c.signal()
	select {
	case o := <-k.done:
		return o.reply, o.err
	case <-ctx.Done():
		return c.abandon(k, ctx.Err())
	}
}

// abandon gives a call up and tells what may have happened to it (I2).
func (c *caller) abandon(k *call, cause error) (*pontoonpb.RangeReply, error) {
	c.mu.Lock()
	_, open := c.open[k.id]
	delete(c.open, k.id)
	sent := k.sent
	if open && sent {
		c.cancels = append(c.cancels, k.id)
	}
	c.mu.Unlock()
	if !open { // the outcome came first
		o := <-k.done
		return o.reply, o.err
	}
	if sent {
		c.signal()
	}
	return nil, lost(k.op, sent, cause)
}

// lost is the typed error of a call whose reply will not come (P34). A stream
// that the peer ended well had answered all that was begun.
func lost(op *pontoonpb.RangeOp, sent bool, cause error) error {
	if sent && Writes(op) && !errors.Is(cause, io.EOF) {
		return proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "reply lost: %v", cause)
	}
	return unavailable("not answered: %v", cause)
}

// Writes reports whether the operation may change a range, so that a lost
// reply leaves its fate unknown.
func Writes(op *pontoonpb.RangeOp) bool {
	switch o := op.Op.(type) {
	case *pontoonpb.RangeOp_Read, *pontoonpb.RangeOp_SysRead, *pontoonpb.RangeOp_LeaseKeys,
		*pontoonpb.RangeOp_History, *pontoonpb.RangeOp_Hash, *pontoonpb.RangeOp_Status:
		return false
	case *pontoonpb.RangeOp_Lease:
		switch o.Lease.GetKind() {
		case pontoonpb.LeaseOpKind_LEASE_KEEPALIVE, pontoonpb.LeaseOpKind_LEASE_TTL, pontoonpb.LeaseOpKind_LEASE_LIST:
			return false
		}
	}
	return true
}

func (c *caller) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns the next frame and marks its calls as sent, nil if none waits.
func (c *caller) take() *pontoonpb.OpFrame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 && len(c.cancels) == 0 {
		return nil
	}
	f := &pontoonpb.OpFrame{}
	for _, id := range c.cancels {
		f.Calls = append(f.Calls, &pontoonpb.OpCall{Id: id, Cancel: true})
	}
	c.cancels = nil
	n, bytes := 0, 0
	for ; n < len(c.waiting) && bytes < c.t.opts.FrameBytes; n++ {
		k := c.waiting[n]
		c.waiting[n] = nil
		if c.open[k.id] != k {
			continue // abandoned before it was sent
		}
		k.sent = true
		oc := &pontoonpb.OpCall{Id: k.id, Op: k.op}
		if d, ok := k.ctx.Deadline(); ok {
			oc.TimeoutNanos = max(1, int64(time.Until(d)))
		}
		bytes += k.op.SizeVT()
		f.Calls = append(f.Calls, oc)
	}
	c.waiting = c.waiting[n:]
	if len(f.Calls) == 0 {
		return nil
	}
	return f
}

// fail ends calls: those in flight always, those still waiting if all is set.
func (c *caller) fail(all bool, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancels = nil
	for id, k := range c.open {
		if k.sent || all {
			delete(c.open, id)
			k.done <- outcome{err: lost(k.op, k.sent, cause)}
		}
	}
	if all {
		c.waiting = nil
	}
}

func (c *caller) deliver(f *pontoonpb.OpReplyFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range f.Replies {
		if k := c.open[r.Id]; k != nil {
			delete(c.open, r.Id)
			k.done <- outcome{reply: r.Reply, err: proto.FromWire(r.Reply.GetError())}
		}
	}
}

func (c *caller) run(ctx context.Context) {
	defer c.t.wg.Done()
	retry := backoff{min: c.t.opts.RetryMin, max: c.t.opts.RetryMax, nudge: c.nudge}
	for {
		if !c.idle(ctx) {
			break
		}
		opened, heard, err := c.stream(ctx)
		if heard {
			retry.reset()
		}
		// Nothing waits for a backoff to end: the caller can try another node.
		c.fail(!heard, err)
		if opened {
			err = nil
		}
		if !c.rest(ctx, &retry, err) {
			break
		}
	}
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.fail(true, context.Canceled)
}

// rest waits before the next stream. If the last one could not be opened, what
// comes meanwhile is refused with the reason.
func (c *caller) rest(ctx context.Context, retry *backoff, why error) bool {
	c.mu.Lock()
	waits := len(c.waiting) > 0
	if !waits {
		c.down = why
	}
	c.mu.Unlock()
	ok := retry.wait(ctx)
	c.mu.Lock()
	c.down = nil
	c.mu.Unlock()
	return ok
}

// idle waits until there is something to send.
func (c *caller) idle(ctx context.Context) bool {
	for {
		c.mu.Lock()
		work := len(c.waiting) > 0
		c.mu.Unlock()
		if work {
			return ctx.Err() == nil
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return false
		}
	}
}

// stream opens one stream and serves it until it breaks. heard: the peer
// answered something.
func (c *caller) stream(ctx context.Context) (opened, heard bool, err error) {
	client, err := c.t.client(c.to)
	if err != nil {
		return false, false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Ops(c.t.outgoing(ctx), callOptions())
	if err != nil {
		return false, false, err
	}
	ended := make(chan error, 1)
	got := make(chan struct{})
	go func() {
		first := true
		for {
			f, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			if first {
				first = false
				close(got)
			}
			c.deliver(f)
		}
	}()
	defer func() {
		select {
		case <-got:
			heard = true
		default:
		}
	}()
	for {
		if f := c.take(); f != nil {
			if err := stream.Send(f); err != nil {
				return true, heard, <-ended
			}
			continue
		}
		select {
		case <-c.wake:
			runtime.Gosched() // what is about to be queued goes along
		case err := <-ended:
			return true, heard, err
		}
	}
}
