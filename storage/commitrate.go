package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// CommitLoad is what MeasureCommits does.
type CommitLoad struct {
	Committers int // that commit one batch after the other
	ValueBytes int // of the one value of a batch
	For        time.Duration
}

// CommitRate is what came of it.
type CommitRate struct {
	Commits  int64
	Took     time.Duration
	P50, P99 time.Duration
}

// maxSamples bounds the memory of the latencies of one committer.
const maxSamples = 1 << 17

// MeasureCommits says how fast an engine with the options of a node commits
// synced batches of one value each, with nothing of Pontoon around it: the limit
// of whatever is built on it. It makes an engine of its own in a directory that
// must not exist, and leaves it there.
func MeasureCommits(ctx context.Context, dir string, load CommitLoad) (rate CommitRate, err error) {
	if load.Committers < 1 || load.ValueBytes < 0 || load.For <= 0 {
		return rate, fmt.Errorf("storage: cannot measure %+v", load)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return rate, fmt.Errorf("storage: %s is there already", dir)
	}
	e, err := Open(Options{Dir: dir})
	if err != nil {
		return rate, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	var (
		wg      sync.WaitGroup
		samples = make([][]time.Duration, load.Committers)
		counts  = make([]int64, load.Committers)
		errs    = make([]error, load.Committers)
	)
	began := time.Now()
	for i := range load.Committers {
		wg.Go(func() {
			samples[i], counts[i], errs[i] = e.commitUntil(ctx, began.Add(load.For), i, load.ValueBytes)
		})
	}
	wg.Wait()
	rate.Took = time.Since(began)
	for _, n := range counts {
		rate.Commits += n
	}
	all := slices.Concat(samples...)
	if err := errors.Join(errs...); err != nil || len(all) == 0 {
		return rate, err
	}
	slices.Sort(all)
	rate.P50, rate.P99 = all[len(all)/2], all[len(all)*99/100]
	return rate, nil
}

// commitUntil is one committer: each batch holds one version of a key of its own.
func (e *Engine) commitUntil(ctx context.Context, end time.Time, committer, size int) (took []time.Duration, n int64, err error) {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(i*7 + committer)
	}
	key := keys.User(fmt.Appendf(nil, "commit/%04d", committer))
	for start := time.Now(); start.Before(end) && ctx.Err() == nil; {
		b := e.db.NewBatch()
		n++
		if err := b.Set(enginekey.AppendVersion(nil, key, proto.Revision(n), 0), value, nil); err != nil {
			return took, n, wrap("set", err)
		}
		if err := b.Commit(pebble.Sync); err != nil {
			return took, n, wrap("commit", err)
		}
		if err := b.Close(); err != nil {
			return took, n, wrap("close batch", err)
		}
		now := time.Now()
		if len(took) < maxSamples {
			took = append(took, now.Sub(start))
		}
		start = now
	}
	return took, n, ctx.Err()
}
