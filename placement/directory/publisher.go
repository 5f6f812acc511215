package directory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// PublisherOptions configure a Publisher.
type PublisherOptions struct {
	// Timeout bounds one attempt. Default 5 s.
	Timeout time.Duration
	// MaxBackoff bounds the pause between attempts. Default 2 s; the first is
	// 50 ms.
	MaxBackoff time.Duration
	Logger     *slog.Logger
}

const firstPause = 50 * time.Millisecond

// Publisher publishes descriptors in the background until they are in the
// directory. Of one range only the newest waits, so the queue is bounded by
// the number of ranges.
type Publisher struct {
	dir    *Directory
	opts   PublisherOptions
	wake   chan struct{}
	ctx    context.Context // of the publishing goroutine; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	waiting map[uint64]*pontoonpb.Descriptor
}

// NewPublisher returns a publisher; Start makes it work.
func NewPublisher(dir *Directory, opts PublisherOptions) *Publisher {
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.MaxBackoff <= 0 {
		opts.MaxBackoff = 2 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Publisher{
		dir: dir, opts: opts, wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		waiting: map[uint64]*pontoonpb.Descriptor{},
	}
}

// Start spawns the publishing goroutine.
func (p *Publisher) Start() { p.wg.Go(p.run) }

// Close stops it; what waits is published by whoever leads the range next.
func (p *Publisher) Close() {
	p.cancel()
	p.wg.Wait()
}

// Changed queues a descriptor. It does not block.
func (p *Publisher) Changed(desc *pontoonpb.Descriptor) {
	p.mu.Lock()
	if have := p.waiting[desc.RangeId]; have == nil || have.Generation < desc.Generation {
		p.waiting[desc.RangeId] = desc
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Publisher) run() {
	pause := time.Duration(0)
	for {
		desc := p.pick()
		if desc == nil {
			select {
			case <-p.wake:
				continue
			case <-p.ctx.Done():
				return
			}
		}
		if err := p.publish(desc); err == nil {
			p.published(desc)
			pause = 0
			continue
		} else if p.ctx.Err() == nil {
			p.opts.Logger.Warn("range not published", "range", desc.RangeId, "err", err)
		}
		pause = min(max(2*pause, firstPause), p.opts.MaxBackoff)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-p.ctx.Done():
			t.Stop()
			return
		}
	}
}

func (p *Publisher) publish(desc *pontoonpb.Descriptor) error {
	ctx, cancel := context.WithTimeout(p.ctx, p.opts.Timeout)
	defer cancel()
	return p.dir.Publish(ctx, desc)
}

func (p *Publisher) pick() *pontoonpb.Descriptor {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, desc := range p.waiting {
		return desc
	}
	return nil
}

// published drops what was published unless a newer one took its place.
func (p *Publisher) published(desc *pontoonpb.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[desc.RangeId] == desc {
		delete(p.waiting, desc.RangeId)
	}
	p.opts.Logger.Info("range published", "range", desc.RangeId, "generation", desc.Generation,
		"start", proto.SpanOf(desc.Span).Start, "end", proto.SpanOf(desc.Span).End)
}
