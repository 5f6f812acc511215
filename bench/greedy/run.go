package greedy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/bench/cgroup"
	"github.com/pontoon-kv/pontoon/bench/vitals"
)

// Run measures and returns the report, also with an error as far as it came.
func Run(ctx context.Context, out io.Writer, o Options) (rep *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	groups, err := openGroups(o.Cgroup)
	if err != nil {
		return nil, fmt.Errorf("greedy: nodes cannot be capped here, so there is nothing to measure: %w", err) // I1
	}
	defer func() { err = errors.Join(err, groups.Close()) }()
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "pontoon-greedy-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.Dir)
	}
	rep = &Report{Setup: describe(&o, groups.Version())}
	chosen := o.chosen()
	for i, s := range chosen {
		r := o.measure(ctx, groups, s)
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		rep.Results = append(rep.Results, r)
		fmt.Fprintln(out, r.verdict())
		o.Progress("greedy", i+1, len(chosen))
	}
	return rep, rep.missed()
}

func openGroups(dir string) (*cgroup.Parent, error) {
	groups, err := cgroup.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := groups.OpenMemory(); err != nil {
		return nil, errors.Join(err, groups.Close())
	}
	return groups, nil
}

// measure runs one scenario on a cluster of its own. What went wrong is in the
// result (I5).
func (o *Options) measure(ctx context.Context, groups *cgroup.Parent, s scenario) *Result {
	r := &Result{Scenario: s.name, About: s.about}
	b, err := o.open(ctx, groups, s.name)
	if err == nil {
		err = b.play(ctx, s, r)
	}
	err = errors.Join(err, b.close(&r.Nodes))
	r.judge(o, err)
	return r
}

// play runs the phases.
func (b *bed) play(ctx context.Context, s scenario, r *Result) (err error) {
	if s.fill != nil {
		if err := s.fill(ctx, b.pool); err != nil {
			return err
		}
	}
	observer, err := vitals.Observe(ctx, b.cluster, b.admin, b.o.LeaseTTL)
	if err != nil {
		return err
	}
	r.Quiet = b.o.stand(ctx, b.bystander)
	before, err := readMachine()
	if err != nil {
		return err
	}
	began := time.Now()
	// No deadline: servers would be told, and end the last requests as failed ones.
	greed, stop := context.WithCancel(ctx)
	defer stop()
	time.AfterFunc(b.o.Cell, stop)
	var t tally
	var g errgroup.Group
	g.Go(func() error { return s.greed(greed, b.cluster.Endpoints(), &t) })
	r.Beside = b.o.stand(ctx, b.bystander)
	err = g.Wait()
	r.Greedy = t.outcome(b.o.Cell)
	after, unread := readMachine()
	r.Machine = after.since(before, time.Since(began).Seconds())
	var ended error
	r.Vitals, ended = observer.End(ctx)
	return errors.Join(err, unread, ended)
}
