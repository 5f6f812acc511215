package txn

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	// maxAttempts bounds how often one request is tried again after conflicts,
	// splits and branch changes.
	maxAttempts = 24
	// bothBranchesAfter attempts lost to compares that change their mind, both
	// branches are locked at once.
	bothBranchesAfter = 3
	// maxSettling bounds the txns that are being finished in the background;
	// beyond it the client waits for its own.
	maxSettling = 256
	// closeGrace is how long Close lets txns be finished.
	closeGrace = time.Second
	// maxPause bounds the wait between attempts.
	maxPause = 50 * time.Millisecond
)

// Options of a Coordinator; all fields are needed.
type Options struct {
	Node      proto.NodeID // with Boot the origin of txn ids
	Boot      uint64       // random per process start
	Sender    Sender
	Sequencer Sequencer
	Leases    LeaseHome
	Reader    Reader
	Logger    *slog.Logger
}

// Coordinator runs txns over ranges. Safe for concurrent use.
type Coordinator struct {
	node      proto.NodeID
	boot      uint64
	counter   atomic.Uint64
	sender    Sender
	sequencer Sequencer
	leases    LeaseHome
	reader    Reader
	log       *slog.Logger

	life     context.Context // ends with Close; background work only
	stop     context.CancelFunc
	settling chan struct{}
	mu       sync.Mutex // closed against tasks.Add
	closed   bool
	tasks    sync.WaitGroup
}

// New returns a coordinator. Close it before what its ports need.
func New(o Options) *Coordinator {
	life, stop := context.WithCancel(context.Background())
	return &Coordinator{
		node: o.Node, boot: o.Boot, sender: o.Sender, sequencer: o.Sequencer, leases: o.Leases,
		reader: o.Reader, log: o.Logger, life: life, stop: stop, settling: make(chan struct{}, maxSettling),
	}
}

// Close gives background work a moment to end, then stops it. What is left
// unfinished is finished by the leaders of the ranges that it blocks (P32).
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	hurry := time.AfterFunc(closeGrace, c.stop)
	defer hurry.Stop()
	c.tasks.Wait()
	c.stop()
}

// Run executes a put, delete range or txn atomically over any number of
// ranges. The response's header and the returned revision are the client's.
// Errors are etcd's answers or *proto.RangeError; op is checked before
// (etcdop.Check) and is not modified.
func (c *Coordinator) Run(ctx context.Context, op *pb.RequestOp) (*pb.ResponseOp, proto.Revision, error) {
	var answered *pb.ResponseOp
	attempts := 0
	resp, rev, err := c.retry(ctx, func(ctx context.Context, wait bool) (*Kernel, error) {
		attempts++
		w := &write{op: op, floor: proto.NeverCompacted}
		if t := op.GetRequestTxn(); t != nil && attempts <= bothBranchesAfter {
			var err error
			if answered, w.path, err = c.reader.TryRead(ctx, op); err != nil || answered != nil {
				return nil, err
			}
		}
		if d := op.GetRequestDeleteRange(); d != nil && !d.PrevKv {
			return c.planDelete(ctx, d, w, wait)
		}
		return c.plan(ctx, w, wait)
	})
	if answered != nil {
		return answered, proto.Revision(answered.GetResponseTxn().GetHeader().GetRevision()), nil
	}
	return resp, rev, err
}

// plan prepares an attempt for what w locks.
func (c *Coordinator) plan(ctx context.Context, w *write, wait bool) (*Kernel, error) {
	accesses, err := c.readable(ctx, w, w.accesses())
	if err != nil {
		return nil, err
	}
	ts := targets(accesses)
	if len(ts) == 0 { // touches no key at all, such as a delete of an inverted range
		ts = []target{{span: keys.Point(keys.User(nil)), mode: pontoonpb.LockMode_LOCK_SHARED}}
	}
	spans := make([]proto.Span, 0, len(ts))
	for _, t := range ts {
		spans = append(spans, t.span)
	}
	descs, err := c.cover(ctx, spans)
	if err != nil {
		return nil, err
	}
	if err = c.registerLeases(ctx, accesses, descs); err != nil {
		return nil, err
	}
	return newKernel(c.newID(), w, groups(ts, descs), wait), nil
}

// readable asks which history can be read, and drops what cannot: nothing waits
// for it under locks. The evaluation refuses it, in its turn among the other
// operations, by the same read revision and floor (P33).
func (c *Coordinator) readable(ctx context.Context, w *write, accesses []etcdop.Access) ([]etcdop.Access, error) {
	if !etcdop.NamesRevision(w.op) {
		return accesses, nil
	}
	read, err := c.sequencer.ReadRevision(ctx)
	if err != nil {
		return nil, err
	}
	w.floor, w.seen = read.Floor, read.Revision
	return slices.DeleteFunc(accesses, func(a etcdop.Access) bool {
		return a.Rev > int64(read.Revision) || a.Rev > 0 && a.Rev < int64(read.Floor)
	}), nil
}

// cover returns the ranges of several spans, each once. Spans are covered one
// after the other, and a split between two would make the ranges overlap: then
// it starts over.
func (c *Coordinator) cover(ctx context.Context, spans []proto.Span) ([]*pontoonpb.Descriptor, error) {
	for {
		out, err := c.coverOnce(ctx, spans)
		if err != nil || disjointRanges(out) {
			return out, err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (c *Coordinator) coverOnce(ctx context.Context, spans []proto.Span) ([]*pontoonpb.Descriptor, error) {
	var out []*pontoonpb.Descriptor
	for _, s := range union(spans) {
		descs, err := c.sender.Cover(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, d := range descs {
			if n := len(out); n == 0 || out[n-1].RangeId != d.RangeId || out[n-1].Generation != d.Generation {
				out = append(out, d)
			}
		}
	}
	return out, nil
}

// disjointRanges reports whether descriptors in key order do not overlap.
func disjointRanges(ds []*pontoonpb.Descriptor) bool {
	for i := 1; i < len(ds); i++ {
		if bytes.Compare(ds[i-1].Span.End, ds[i].Span.Start) > 0 {
			return false
		}
	}
	return true
}

func (c *Coordinator) newID() *pontoonpb.TxnID {
	return &pontoonpb.TxnID{Node: uint64(c.node), Boot: c.boot, Counter: c.counter.Add(1)}
}

// retry runs attempts until one is final. plan returns nil and no error if
// there is nothing left to do.
func (c *Coordinator) retry(
	ctx context.Context, plan func(ctx context.Context, wait bool) (*Kernel, error),
) (*pb.ResponseOp, proto.Revision, error) {
	wait := false
	for n := range maxAttempts {
		if n > 1 && pause(ctx, min(time.Millisecond<<n, maxPause)) != nil {
			break
		}
		k, err := plan(ctx, wait)
		if err != nil || k == nil {
			return nil, 0, err
		}
		o := c.drive(ctx, k)
		wait = wait || o.Wait
		switch {
		case o.Committed:
			c.settleLater(k, o)
			return o.Response, o.Revision, o.Err
		case o.Unknown, o.Settle && ctx.Err() != nil:
			c.settleLater(k, o)
			if o.Err == nil { // lost a conflict, and there is no time for another try
				return nil, 0, ctx.Err()
			}
			return nil, 0, o.Err
		case o.Settle:
			if err := c.settle(ctx, k, o); err != nil {
				c.settleLater(k, o)
			}
		}
		if !o.Again {
			return o.Response, o.Revision, o.Err
		}
	}
	return nil, 0, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "etcdserver: request timed out")
}

// drive feeds the kernel until it is done: calls run in parallel, everything
// else in line.
func (c *Coordinator) drive(ctx context.Context, k *Kernel) *Outcome {
	type answer struct {
		seq   int
		reply *pontoonpb.RangeReply
		err   error
	}
	answers := make(chan answer)
	step := k.Start()
	for {
		switch {
		case step.Outcome != nil:
			return step.Outcome
		case step.Cover != nil:
			descs, err := c.cover(ctx, step.Cover)
			step = k.Covered(descs, err)
		case step.AskRevision:
			read, err := c.sequencer.ReadRevision(ctx)
			step = k.Revision(read.Revision, err)
		case len(step.Calls) == 1 && len(k.flying) == 1:
			reply, err := c.sender.Send(ctx, step.Calls[0].Op)
			step = k.Handle(step.Calls[0].Seq, reply, err)
		case len(step.Calls) > 0:
			for _, call := range step.Calls {
				go func() {
					reply, err := c.sender.Send(ctx, call.Op)
					answers <- answer{call.Seq, reply, err}
				}()
			}
			step = Step{}
		default:
			a := <-answers
			step = k.Handle(a.seq, a.reply, a.err)
		}
	}
}
