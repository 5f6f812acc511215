package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
)

// compactor brings the cluster's compaction floor into the logs of the ranges
// led here, a range at a time (P41). It is woken when the floor changes, and
// looks again every second for ranges that missed it.
type compactor struct {
	store   *rangeraft.Store
	numbers *client.Client
	log     *slog.Logger
	wake    chan struct{}

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	compactLook  = time.Second
	compactPause = 5 * time.Millisecond // between ranges: the bounded rate of P41
)

func newCompactor(store *rangeraft.Store, numbers *client.Client, log *slog.Logger) *compactor {
	c := &compactor{store: store, numbers: numbers, log: log, wake: make(chan struct{}, 1), cancel: func() {}}
	numbers.OnEpochs(func(client.Epochs) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	})
	return c
}

func (c *compactor) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() {
		look := time.NewTicker(compactLook)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-c.wake:
			case <-look.C:
				c.learn(ctx)
			}
			c.spread(ctx)
		}
	})
}

func (c *compactor) close() {
	c.cancel()
	c.wg.Wait()
}

// learn asks the sequencer, whose answers carry the floor: a node without
// traffic of its own would not hear of it.
func (c *compactor) learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, compactLook)
	defer cancel()
	if _, err := c.numbers.ReadRevision(ctx); err != nil {
		c.log.Debug("the sequencer could not be asked for the floor", "error", err)
	}
}

func (c *compactor) spread(ctx context.Context) {
	floor := c.numbers.Floor()
	for _, d := range c.store.LedBelow(floor) {
		if ctx.Err() != nil {
			return
		}
		reply := c.store.Do(ctx, &pontoonpb.RangeOp{
			RangeId: d.RangeId, Span: d.Span,
			Op: &pontoonpb.RangeOp_Compact{Compact: &pontoonpb.CompactOp{Floor: int64(floor)}},
		})
		if err := proto.FromWire(reply.Error); err != nil {
			c.log.Debug("the floor did not reach a range, it will be tried again", "range", d.RangeId, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(compactPause):
		}
	}
}
