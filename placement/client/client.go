package client

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Epochs are the floor and the epochs of the cluster as the sequencer last
// told this node.
type Epochs struct {
	Floor proto.Revision
	Auth  uint64
	Alarm uint64
}

// Policy is one number for the auth and alarm epochs together. Neither ever
// decreases, so it says whether either is newer than it was.
func (e Epochs) Policy() uint64 { return e.Auth + e.Alarm }

// Grant answers an ask. First is the first of the numbers, unless
// EpochsChanged: then there are none and the asker evaluates again.
type Grant struct {
	First, Read   proto.Revision
	Floor         proto.Revision
	EpochsChanged bool
}

// Read is a read revision with the floor and epochs that hold with it.
type Read struct {
	Revision   proto.Revision
	Floor      proto.Revision
	AuthEpoch  uint64
	AlarmEpoch uint64
}

// Policy is Epochs.Policy as of the read revision.
func (r Read) Policy() uint64 { return r.AuthEpoch + r.AlarmEpoch }

// maxInFlight is how many messages may be unanswered. Two keep the sequencer
// busy while a reply travels; more would only make them smaller.
const maxInFlight = 2

// Client folds the asks of one node.
type Client struct {
	opts    Options
	metrics metrics
	seen    atomic.Int64
	floor   atomic.Int64
	root    atomic.Uint64 // term, for who asks without a lock
	closed  context.Context
	close   context.CancelFunc
	wg      sync.WaitGroup
	wake    chan struct{} // work, or a change in what is in flight
	advised chan struct{} // advice came

	// answering is held while callers are answered, so that they are answered
	// in order (I2). Taken before mu.
	answering sync.Mutex

	mu       sync.Mutex
	asks     []ask      // not yet in a message
	spare    []ask      // recycled
	reads    *readBatch // not yet in a message
	inflight []*message // in order, unanswered
	sequence uint64
	epochs   Epochs
	term     proto.Term // highest root term known
	lastSent time.Time
	session  *session
	advice   proto.NodeID // root leader as told by Redirect, not tried yet
	onEpochs []func(Epochs)
}

// ask is one caller's wish for numbers.
type ask struct {
	n      int64
	epochs Epochs
	done   func(Grant, error)
	since  time.Time
}

// readBatch is what all readers that wait for the same message share.
type readBatch struct {
	since time.Time // of its first reader
	done  chan struct{}
	read  Read
	err   error
}

// message is one SequenceAsk with those whom its reply answers.
type message struct {
	wire   *pontoonpb.SequenceAsk
	epochs Epochs
	asks   []ask
	reads  *readBatch
	sent   time.Time // on the session; zero: to be sent
}

// New returns a client; Start makes it work.
func New(opts Options) (*Client, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		opts: opts, metrics: newMetrics(opts.Registerer), closed: ctx, close: cancel,
		wake: make(chan struct{}, 1), advised: make(chan struct{}, 1), epochs: Epochs{Floor: proto.NeverCompacted},
	}
	c.seen.Store(int64(proto.FirstRevision))
	c.floor.Store(int64(proto.NeverCompacted))
	return c, nil
}

// Start spawns the client's goroutines.
func (c *Client) Start() {
	c.wg.Go(c.run)
	c.wg.Go(c.sweep)
}

// Close fails whatever waits.
func (c *Client) Close() {
	c.close()
	c.wg.Wait()
	c.failAll(unavailable("stopping"))
}

// Ask asks for n numbers under the epochs known now. done is called exactly
// once, from another goroutine, in the order of the asks; it must not block.
func (c *Client) Ask(n int64, done func(Grant, error)) {
	c.mu.Lock()
	c.add(n, c.epochs, done)
}

// AskUnder asks for numbers for what was checked under the given epochs (P9).
func (c *Client) AskUnder(epochs Epochs, n int64, done func(Grant, error)) {
	c.mu.Lock()
	c.add(n, epochs, done)
}

// add releases mu.
func (c *Client) add(n int64, epochs Epochs, done func(Grant, error)) {
	if len(c.asks) >= c.opts.MaxAsks || c.closed.Err() != nil {
		c.mu.Unlock()
		go c.answer(func() { done(Grant{}, unavailable("too many asks wait for the sequencer")) })
		return
	}
	c.asks = append(c.asks, ask{n, epochs, done, time.Now()})
	c.mu.Unlock()
	c.signal()
}

// answer runs fn in turn with other answers.
func (c *Client) answer(fn func()) {
	c.answering.Lock()
	defer c.answering.Unlock()
	fn()
}

// ReadRevision returns a number no smaller than any granted before the call.
// Callers share messages.
func (c *Client) ReadRevision(ctx context.Context) (Read, error) {
	c.mu.Lock()
	if c.closed.Err() != nil {
		c.mu.Unlock()
		return Read{}, unavailable("stopping")
	}
	b := c.reads
	first := b == nil
	if first {
		b = &readBatch{since: time.Now(), done: make(chan struct{})}
		c.reads = b
	}
	c.mu.Unlock()
	if first {
		c.signal()
	}
	c.metrics.reads.Inc()
	if ctx.Done() == nil {
		<-b.done // bounded by the client's own timeout
		return b.read, b.err
	}
	select {
	case <-b.done:
		return b.read, b.err
	case <-ctx.Done():
		return Read{}, ctx.Err()
	}
}

// Seen returns the highest number that this node received from the sequencer
// in any way (P8).
func (c *Client) Seen() proto.Revision { return proto.Revision(c.seen.Load()) }

// Floor returns the compaction floor as last told.
func (c *Client) Floor() proto.Revision { return proto.Revision(c.floor.Load()) }

// Term returns the highest term of the root range known, 0 before the first
// answer.
func (c *Client) Term() proto.Term { return proto.Term(c.root.Load()) }

// Boot returns the id of this process.
func (c *Client) Boot() uint64 { return c.opts.Boot }

// Epochs returns what the sequencer told last.
func (c *Client) Epochs() Epochs {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epochs
}

// OnEpochs has fn called, in turn with answers, whenever the epochs change.
func (c *Client) OnEpochs(fn func(Epochs)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEpochs = append(slices.Clip(c.onEpochs), fn)
}

// ObservePush takes in a number that another node got from the sequencer (P26).
func (c *Client) ObservePush(rev proto.Revision) { c.raiseSeen(int64(rev)) }

func (c *Client) raiseSeen(rev int64) {
	for {
		have := c.seen.Load()
		if rev <= have || c.seen.CompareAndSwap(have, rev) {
			return
		}
	}
}

func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func unavailable(why string) error {
	return proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "sequencer: %s", why)
}
