package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pontoon-kv/pontoon/bench/filler"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Sync is how long it takes until written bytes are durable.
type Sync struct {
	// What was done: "append": the file grows, so that its length is synced
	// too; "overwrite": it was written before, as a recycled log is.
	What  string `json:"what"`
	Bytes int    `json:"bytes"` // of each write
	stat.Summary
}

// syncBytes is one page, the least that a disk writes.
const syncBytes = 4096

// sync measures both kinds on a file in Dir.
func (o *Options) sync(ctx context.Context) (out []Sync, err error) {
	name := filepath.Join(o.Dir, "sync")
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	page := []byte(filler.Text(syncBytes))
	written := 0
	appended, err := o.syncs(ctx, func(i int) error {
		written++
		return writeSynced(f, page, int64(i)*syncBytes, f.Sync)
	})
	if err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	over, err := o.syncs(ctx, func(i int) error {
		page[i%syncBytes]++
		return writeSynced(f, page, int64(i%written)*syncBytes, func() error { return dataSync(f) })
	})
	if err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	return []Sync{{"append", syncBytes, appended}, {"overwrite", syncBytes, over}}, nil
}

func writeSynced(f *os.File, page []byte, at int64, sync func() error) error {
	if _, err := f.WriteAt(page, at); err != nil {
		return err
	}
	return sync()
}

// syncs repeats until there are enough or time is up.
func (o *Options) syncs(ctx context.Context, do func(i int) error) (stat.Summary, error) {
	var h stat.Histogram
	began := time.Now()
	for i := 0; i < o.Syncs && time.Since(began) < o.Cell && ctx.Err() == nil; i++ {
		start := time.Now()
		if err := do(i); err != nil {
			return stat.Summary{}, err
		}
		h.Record(time.Since(start))
	}
	return h.Summarize(time.Since(began)), ctx.Err()
}
