package limits

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/pontoon-kv/pontoon/bench/dial"
)

// Run measures and returns the report, also with an error as far as it came.
func Run(ctx context.Context, out io.Writer, o Options) (rep *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "pontoon-limits-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.Dir)
	}
	rep = &Report{Connections: o.Connections, ValueSize: o.ValueSize}
	total, done := 1+len(o.Committers)+len(o.Clients), 0
	step := func() {
		done++
		o.Progress("limits", done, total)
	}
	if rep.Sync, err = o.sync(ctx); err != nil {
		return rep, err
	}
	step()
	for _, n := range o.Committers {
		cell, err := o.engine(ctx, n)
		if err != nil {
			return rep, err
		}
		rep.Engine = append(rep.Engine, cell)
		step()
	}
	return rep, o.echoes(ctx, rep, step)
}

// echoes measures all cells of the echo server.
func (o *Options) echoes(ctx context.Context, rep *Report, step func()) (err error) {
	address, pid, stop, err := o.startEcho(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	pool, err := dial.OpenPool([]string{address}, o.Connections)
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, n := range o.Clients {
		cell, err := o.echo(ctx, pool, pid, n)
		if err != nil {
			return err
		}
		rep.Echo = append(rep.Echo, cell)
		step()
	}
	return nil
}
