package integrity

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Options of a Checker.
type Options struct {
	// Interval is the time between two passes over the ranges led here. 0: they
	// are not checked.
	Interval time.Duration
	// BytesPerSecond is what reading a range is reckoned at to pause after it.
	// Default 16 MiB.
	BytesPerSecond int64
	// Led lists the ranges that are led here, with their sizes. Must not block.
	Led    func() []*pontoonpb.RangeStatus
	Calls  Calls
	Alarms Alarms
	Logger *slog.Logger
}

const (
	leastPause   = 100 * time.Millisecond
	checkTimeout = time.Minute // of one range
)

// Checker compares the ranges that this node leads, one after the other.
type Checker struct {
	opts   Options
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewChecker returns a checker that does nothing yet.
func NewChecker(opts Options) *Checker {
	if opts.BytesPerSecond <= 0 {
		opts.BytesPerSecond = 16 << 20
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Checker{opts: opts, cancel: func() {}}
}

// Start begins with a pass after one interval.
func (c *Checker) Start() {
	if c.opts.Interval <= 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() {
		for rest(ctx, c.opts.Interval) {
			c.pass(ctx)
		}
	})
}

func (c *Checker) pass(ctx context.Context) {
	for _, r := range c.opts.Led() {
		if ctx.Err() != nil {
			return
		}
		c.check(ctx, r.Desc)
		// I2
		pause := time.Duration(float64(max(0, r.SizeBytes)) / float64(c.opts.BytesPerSecond) * float64(time.Second))
		if !rest(ctx, max(leastPause, pause)) {
			return
		}
	}
}

// check compares the replicas of one range. A range that changes its shape
// meanwhile is left to the next pass.
func (c *Checker) check(ctx context.Context, desc *pontoonpb.Descriptor) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	resp, err := Compare(ctx, c.opts.Calls, func(context.Context) (*pontoonpb.Descriptor, error) { return desc, nil })
	if err != nil {
		return
	}
	if bad := Differing(resp); len(bad) > 0 {
		c.opts.Logger.Error("replicas of a range differ", "range", proto.RangeID(desc.RangeId), "nodes", bad, "index", resp.Replicas[0].Index)
	}
	if err := Report(ctx, c.opts.Alarms, resp); err != nil {
		c.opts.Logger.Error("CORRUPT not raised", "range", proto.RangeID(desc.RangeId), "error", err)
	}
}

// rest waits; false: ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Close ends the pass under way.
func (c *Checker) Close() {
	c.cancel()
	c.wg.Wait()
}
