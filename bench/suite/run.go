package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pontoon-kv/pontoon/bench/measure"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// runner is one run in progress.
type runner struct {
	o      Options
	out    io.Writer
	run    *result.Run
	stages map[int]*stage // by system, of the current group
	opened int
	done   int
	total  int
}

// Run measures everything. The result is complete as far as an error allows:
// failed samples are in it and are no error of the run; that ctx ended is.
func Run(ctx context.Context, out io.Writer, o Options) (run *result.Run, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "pontoon-suite-")
		if err != nil {
			return nil, err
		}
		o.Dir = dir
		defer os.RemoveAll(dir)
	}
	r := &runner{o: o, out: out, stages: map[int]*stage{}}
	if err := r.describe(); err != nil {
		return nil, err
	}
	defer func() {
		r.run.Seconds = time.Since(r.run.Began).Seconds()
		err = errors.Join(err, r.closeAll(context.WithoutCancel(ctx)))
	}()
	steps := schedule(o.Groups, o.Rounds, len(o.systems()), o.ProfileDir != "")
	for _, s := range steps {
		r.total += len(s.workloads)
	}
	for _, s := range steps {
		if err := r.step(ctx, s); err != nil {
			return r.run, err
		}
	}
	return r.run, r.sections(ctx)
}

// describe notes what is measured where.
func (r *runner) describe() error {
	o := &r.o
	r.run = &result.Run{
		Format: result.Format, Began: time.Now().UTC().Truncate(time.Second), Command: o.Command, Machine: measure.ThisMachine(o.Dir),
		Settings: result.Settings{Quick: o.Quick, Rounds: o.Rounds, WindowSeconds: o.Window.Seconds(), WarmupSeconds: o.Warmup.Seconds(),
			Connections: o.Connections, Seed: o.Seed, MaxErrorShare: o.MaxErrorShare},
		About: map[string]string{},
	}
	for _, g := range o.Groups {
		for _, w := range g.Workloads {
			r.run.About[w.Name] = fmt.Sprintf("%s (%d nodes, %s)", w.About, g.Nodes, g.About)
		}
	}
	var err error
	if r.run.Subject, err = o.Subject.describe(); err != nil || o.Baseline == nil {
		return err
	}
	baseline, err := o.Baseline.describe()
	r.run.Baseline = &baseline
	return err
}

// step runs some workloads on one cluster.
func (r *runner) step(ctx context.Context, s step) error {
	g, system := &r.o.Groups[s.group], r.o.systems()[s.system]
	for _, i := range s.workloads {
		w := &g.Workloads[i]
		base := result.Sample{Workload: w.Name, Unit: w.Unit, Nodes: g.Nodes, System: system.Name, Round: s.round}
		found, err := r.measure(ctx, s, g, w, base)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // I3; what comes next gets a new cluster
			base.Failure = errors.Join(err, r.closeOne(ctx, s.system)).Error()
			found = []result.Sample{base}
		}
		r.done++
		r.o.Progress("bench", r.done, r.total)
		if s.profile { // I4
			if err != nil {
				fmt.Fprintf(r.out, "profile of %s: %v\n", w.Name, err)
			}
			continue
		}
		r.run.Samples = append(r.run.Samples, found...)
		r.tell(found)
	}
	if s.close {
		return errors.Join(r.closeOne(ctx, s.system), r.o.Keep(r.run))
	}
	return nil
}

// measure runs one workload on the system's stage, which it opens if need be.
func (r *runner) measure(ctx context.Context, s step, g *workload.Group, w *workload.Workload, base result.Sample) ([]result.Sample, error) {
	st := r.stages[s.system]
	if st == nil {
		r.opened++
		var err error
		dir := filepath.Join(r.o.Dir, fmt.Sprintf("c%d", r.opened))
		if st, err = r.o.open(ctx, r.o.systems()[s.system], g, dir, s.profile); err != nil {
			return nil, err
		}
		r.stages[s.system] = st
	}
	ctx, cancel := context.WithTimeout(ctx, r.limit(w))
	defer cancel()
	if s.profile {
		return nil, r.o.profile(ctx, st, w, base.System)
	}
	out, err := w.Run(ctx, st.target)
	if err = errors.Join(err, st.crashes()); err != nil {
		return nil, err
	}
	if err := r.o.acceptable(out); err != nil {
		return nil, err
	}
	if out.Note != "" {
		fmt.Fprintf(r.out, "%s, %s: %s\n", w.Name, base.System, out.Note)
	}
	return samples(base, out, st.meter.Usage()), nil
}

// acceptable refuses outcomes that are no measurement.
func (o *Options) acceptable(out *workload.Outcome) error {
	if out.Ops == 0 {
		return fmt.Errorf("nothing ended in the window (%d requests failed, the first: %w)", out.Errors, errOrNone(out.Error))
	}
	if share := float64(out.Errors) / float64(out.Errors+out.Ops); share > o.MaxErrorShare {
		return fmt.Errorf("%d of %d requests failed, the first: %w", out.Errors, out.Errors+out.Ops, errOrNone(out.Error))
	}
	return nil
}

var errNone = errors.New("none")

func errOrNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// defaultLimit bounds a workload that does not say otherwise.
const defaultLimit = 2 * time.Minute

func (r *runner) limit(w *workload.Workload) time.Duration {
	limit := w.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	return limit + 4*(r.o.Window+r.o.Warmup)
}

// tell prints what was just found.
func (r *runner) tell(found []result.Sample) {
	for _, s := range found {
		if s.Failure != "" {
			fmt.Fprintf(r.out, "%-28s %-8s round %d FAILED: %s\n", s.Workload, s.System, s.Round+1, s.Failure)
			continue
		}
		line := fmt.Sprintf("%-28s %-8s round %d %12s  p50 %8.2f  p99 %8.2f ms", s.Workload, s.System, s.Round+1,
			perSecond(s), s.Metrics[result.P50], s.Metrics[result.P99])
		if cpu, known := s.Metrics[result.CPU]; known {
			line += fmt.Sprintf("  %7.0f us CPU/op", cpu)
		}
		if s.Metrics[result.Others] >= result.Disturbed {
			line += fmt.Sprintf("  (disturbed: other processes used %.0f%% of the machine)", 100*s.Metrics[result.Others])
		}
		fmt.Fprintln(r.out, line)
	}
}

func perSecond(s result.Sample) string {
	if v, measured := s.Metrics[result.Throughput]; measured {
		return fmt.Sprintf("%.0f/s", v)
	}
	return "paced"
}

// sections runs the measurements of their own shape.
func (r *runner) sections(ctx context.Context) error {
	for i, s := range r.o.Sections {
		env := Env{Pontoon: r.o.Subject.System, Quick: r.o.Quick, Seed: r.o.Seed, Dir: filepath.Join(r.o.Dir, fmt.Sprintf("s%d", i)),
			Out: r.out, Logger: r.o.Logger, Progress: r.o.Progress}
		if r.o.Baseline != nil {
			env.Etcd = &r.o.Baseline.System
		}
		if err := os.MkdirAll(env.Dir, 0o755); err != nil {
			return err
		}
		found, err := s.Run(ctx, env)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if found == nil {
			found = &result.Section{Name: s.Name(), Title: s.Name()}
		}
		if err != nil {
			found.Failure = err.Error()
		}
		r.run.Sections = append(r.run.Sections, *found)
		if err := os.RemoveAll(env.Dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) closeOne(ctx context.Context, system int) error {
	st := r.stages[system]
	delete(r.stages, system)
	if st == nil {
		return nil
	}
	return st.close(ctx)
}

func (r *runner) closeAll(ctx context.Context) error {
	var errs []error
	for i := range r.o.systems() {
		errs = append(errs, r.closeOne(ctx, i))
	}
	return errors.Join(errs...)
}
