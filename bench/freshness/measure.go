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

// Progress are the waits of consistent reads.
type Progress struct {
	Wait  stat.Histogram // from the read's answer to progress at its revision
	Total stat.Histogram // from the read's start
}

// MeasureProgress reads R of an absent key through one gateway, then waits for
// progress to R on a watch through another (I1).
func (p *Probe) MeasureProgress(ctx context.Context, to *Progress, reader, watching *clientv3.Client, step func()) error {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := follow(watchCtx, watching, p.Prefix)
	if err != nil {
		return err
	}
	for range p.Samples {
		err := p.bounded(ctx, func(ctx context.Context) error {
			began := time.Now()
			resp, err := reader.Get(ctx, p.absent(), clientv3.WithLimit(1))
			if err != nil {
				return err
			}
			read := time.Now()
			if err := w.progressTo(ctx, resp.Header.Revision); err != nil {
				return err
			}
			to.Wait.Record(time.Since(read))
			to.Total.Record(time.Since(began))
			return nil
		})
		if err != nil {
			return fmt.Errorf("progress: %w", err)
		}
		step()
		pause(ctx, 10*time.Millisecond)
	}
	return nil
}

// Crossing are the delays of the same events at two watches.
type Crossing struct {
	One stat.Histogram // at the watch of their range
	All stat.Histogram // at the watch of all ranges
}

// MeasureCrossing times the same events at a watch of their range and at one of
// all ranges (I2).
func (p *Probe) MeasureCrossing(ctx context.Context, to *Crossing, writer, single, all *clientv3.Client, step func()) error {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	wide, err := follow(watchCtx, all, p.Prefix)
	if err != nil {
		return err
	}
	var narrow []*watcher
	for i := range p.Ranges {
		w, err := follow(watchCtx, single, p.rangePrefix(i))
		if err != nil {
			return err
		}
		narrow = append(narrow, w)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range p.Samples {
		i := rng.IntN(p.Ranges)
		if err := p.bounded(ctx, func(ctx context.Context) error { return p.event(ctx, to, writer, i, narrow[i], wide) }); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		step()
		pause(ctx, time.Duration(float64(time.Second)/p.Rate))
	}
	return nil
}

// event writes to one range and times the event at both watches.
func (p *Probe) event(ctx context.Context, to *Crossing, writer *clientv3.Client, i int, narrow, wide *watcher) error {
	began := time.Now()
	resp, err := writer.Put(ctx, p.rangePrefix(i)+"key", "value")
	if err != nil {
		return err
	}
	for _, pair := range []struct {
		w *watcher
		h *stat.Histogram
	}{{narrow, &to.One}, {wide, &to.All}} {
		at, err := pair.w.arrival(ctx, resp.Header.Revision)
		if err != nil {
			return err
		}
		pair.h.Record(at.Sub(began))
	}
	return nil
}

// bounded gives one sample its time (I3).
func (p *Probe) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.Wait)
	defer cancel()
	return f(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// WriteElsewhere keeps revisions running until stopped.
func (p *Probe) WriteElsewhere(ctx context.Context, c *clientv3.Client) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failure error
	wg.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / p.Rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := c.Put(ctx, p.elsewhere(), "value"); err != nil && ctx.Err() == nil {
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
