package freshness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/stat"
)

// progress measures consistent reads: read R of an absent key through one
// gateway, then progress to R on a watch through another (I1).
func (o *Options) progress(ctx context.Context, reader, watching *clientv3.Client, step func()) (wait, total stat.Summary, err error) {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := follow(watchCtx, watching, prefix)
	if err != nil {
		return wait, total, err
	}
	var waits, totals stat.Histogram
	for range o.Samples {
		err := o.bounded(ctx, func(ctx context.Context) error {
			began := time.Now()
			resp, err := reader.Get(ctx, absentKey, clientv3.WithLimit(1))
			if err != nil {
				return err
			}
			read := time.Now()
			if err := w.progressTo(ctx, resp.Header.Revision); err != nil {
				return err
			}
			waits.Record(time.Since(read))
			totals.Record(time.Since(began))
			return nil
		})
		if err != nil {
			return wait, total, fmt.Errorf("progress: %w", err)
		}
		step()
		pause(ctx, 10*time.Millisecond)
	}
	return waits.Summarize(0), totals.Summarize(0), nil
}

// crossing measures watches: the same events at a watch of their range and at
// one of all ranges (I2).
func (o *Options) crossing(ctx context.Context, writer, single, all *clientv3.Client, step func()) (one, cross stat.Summary, err error) {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	wide, err := follow(watchCtx, all, prefix)
	if err != nil {
		return one, cross, err
	}
	var narrow []*watcher
	for i := range o.Ranges {
		w, err := follow(watchCtx, single, rangePrefix(i))
		if err != nil {
			return one, cross, err
		}
		narrow = append(narrow, w)
	}
	var ones, crosses stat.Histogram
	rng := rand.New(rand.NewPCG(1, 1))
	for range o.Samples {
		err := o.bounded(ctx, func(ctx context.Context) error {
			i := rng.IntN(o.Ranges)
			began := time.Now()
			resp, err := writer.Put(ctx, rangePrefix(i)+"key", "value")
			if err != nil {
				return err
			}
			for _, pair := range []struct {
				w *watcher
				h *stat.Histogram
			}{{narrow[i], &ones}, {wide, &crosses}} {
				at, err := pair.w.arrival(ctx, resp.Header.Revision)
				if err != nil {
					return err
				}
				pair.h.Record(at.Sub(began))
			}
			return nil
		})
		if err != nil {
			return one, cross, fmt.Errorf("watch: %w", err)
		}
		step()
		pause(ctx, time.Duration(float64(time.Second)/o.Rate))
	}
	return ones.Summarize(0), crosses.Summarize(0), nil
}

// bounded gives one sample its time (I3).
func (o *Options) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	return f(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// writeElsewhere keeps revisions running until stopped.
func (o *Options) writeElsewhere(ctx context.Context, c *clientv3.Client) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failure error
	wg.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / o.Rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := c.Put(ctx, elsewhere, "value"); err != nil && ctx.Err() == nil {
				failure = errors.Join(failure, fmt.Errorf("write elsewhere: %w", err))
				return
			}
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return failure
	}
}
