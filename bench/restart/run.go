package restart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Run measures and returns the report, also with an error as far as it came.
func Run(ctx context.Context, out io.Writer, o Options) (rep *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "pontoon-restart-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.Dir)
	}
	rep = &Report{Nodes: o.Nodes, Keys: o.Keys, ValueSize: o.ValueSize, Ranges: o.Ranges}
	for _, s := range o.systems() {
		got, err := o.measure(ctx, out, s)
		rep.Systems = append(rep.Systems, got)
		if err != nil {
			return rep, fmt.Errorf("%s: %w", s.kind, err)
		}
	}
	rep.summarize()
	return rep, rep.check(&o)
}

// measure runs one system.
func (o *Options) measure(ctx context.Context, out io.Writer, s system) (got System, err error) {
	got.System = s.kind
	dir := filepath.Join(o.Dir, string(s.kind))
	c, err := cluster.Start(ctx, cluster.Options{
		Kind: s.kind, Binary: s.binary, Args: s.args, Nodes: o.Nodes, Dir: dir, StartTimeout: o.ServeLimit, Logger: o.Logger})
	if err != nil {
		return got, err
	}
	defer func() {
		if err = errors.Join(err, errors.Join(c.Crashes()...), c.Close()); err == nil {
			err = os.RemoveAll(dir) // the next system gets the disk as this one did
		}
	}()
	began := time.Now()
	if err := o.fill(ctx, c); err != nil {
		return got, err
	}
	if err := o.count(ctx, c); err != nil {
		return got, err
	}
	got.FillSeconds = time.Since(began).Seconds()
	if got.Filled, err = memory(c.Nodes()); err != nil {
		return got, err
	}
	if got.DiskBytes, err = size(dir); err != nil {
		return got, err
	}
	fmt.Fprintf(out, "%s: %d keys after %.0f s, %d MiB on disk, %d MiB of memory\n", s.kind, o.Keys, got.FillSeconds, got.DiskBytes>>20, got.Filled.Resident>>20)
	for i := range o.Restarts {
		if err := pause(ctx, o.Rest); err != nil {
			return got, err
		}
		r, err := o.restart(ctx, c, i)
		if err != nil {
			return got, err
		}
		got.Restarts = append(got.Restarts, r)
		fmt.Fprintf(out, "%s: %s\n", s.kind, r)
		o.Progress("restart "+string(s.kind), i+1, o.Restarts)
	}
	return got, o.count(ctx, c)
}

// size is what lies below a directory. Files that end meanwhile do not count.
func size(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
