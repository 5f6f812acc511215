package freshness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Result is what was measured of one system. All times are in milliseconds.
type Result struct {
	Kind cluster.Kind `json:"kind"`
	// ProgressWait is from the read's answer to progress at its revision,
	// ProgressTotal from the read's start.
	ProgressWait  stat.Summary `json:"progress_wait"`
	ProgressTotal stat.Summary `json:"progress_total"`
	// Watch latencies, from before the put, with a writer elsewhere and with none.
	OneRange       stat.Summary `json:"one_range"`
	AllRanges      stat.Summary `json:"all_ranges"`
	OneRangeQuiet  stat.Summary `json:"one_range_quiet"`
	AllRangesQuiet stat.Summary `json:"all_ranges_quiet"`
}

// Report is the outcome of a run.
type Report struct {
	Ranges  int      `json:"ranges"`
	Results []Result `json:"results"`
}

// WriteText prints the measurements.
func (r *Report) WriteText(w io.Writer) {
	for _, s := range r.Results {
		fmt.Fprintf(w, "%s, prefix over %d ranges\n", s.Kind, r.Ranges)
		for _, line := range []struct {
			name string
			sum  stat.Summary
		}{
			{"progress after the read", s.ProgressWait}, {"read and progress", s.ProgressTotal},
			{"watch of one range", s.OneRange}, {"watch of all ranges", s.AllRanges},
			{"one range, nobody elsewhere", s.OneRangeQuiet}, {"all ranges, nobody elsewhere", s.AllRangesQuiet},
		} {
			fmt.Fprintf(w, "  %-29s p50 %7.2f ms  p90 %7.2f ms  p99 %7.2f ms  max %7.2f ms\n",
				line.name, line.sum.P50Ms, line.sum.P90Ms, line.sum.P99Ms, line.sum.MaxMs)
		}
	}
}

// Run measures every system. Missing a limit is an error.
func Run(ctx context.Context, out io.Writer, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "pontoon-freshness-")
		if err != nil {
			return nil, err
		}
		o.Dir = dir
		defer os.RemoveAll(dir)
	}
	fmt.Fprintf(out, "freshness: %d nodes, prefix over %d ranges, %d samples each\n", o.Nodes, o.Ranges, o.Samples)
	rep := &Report{Ranges: o.Ranges}
	done, total := 0, len(o.Systems)*3*o.Samples
	for i, s := range o.Systems {
		res, err := o.measure(ctx, s, filepath.Join(o.Dir, fmt.Sprintf("s%d", i)), func() {
			done++
			o.Show("freshness", done, total)
		})
		if err != nil {
			return rep, fmt.Errorf("%s: %w", s.Kind, err)
		}
		rep.Results = append(rep.Results, res)
	}
	return rep, o.limits(rep.Results[0])
}

func (o *Options) measure(ctx context.Context, s cluster.System, dir string, step func()) (res Result, err error) {
	res.Kind = s.Kind
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return res, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Kind: s.Kind, Binary: s.Binary, Args: s.Args, Nodes: o.Nodes, Dir: dir, Logger: o.Logger})
	if err != nil {
		return res, err
	}
	defer c.Close()
	if err := c.Split(ctx, o.SplitKeys()...); err != nil {
		return res, err
	}
	pool, err := dial.OpenPool(c.Endpoints(), 2*len(c.Endpoints())) // client i is at gateway i mod n
	if err != nil {
		return res, err
	}
	defer pool.Close()
	var progress Progress
	var crossing, quiet Crossing
	stop := o.WriteElsewhere(ctx, pool.Client(0))
	if err = o.MeasureProgress(ctx, &progress, pool.Client(1), pool.Client(2), step); err == nil {
		err = o.MeasureCrossing(ctx, &crossing, pool.Client(0), pool.Client(1), pool.Client(1+o.Nodes), step)
	}
	if err = errors.Join(err, stop()); err != nil {
		return res, err
	}
	err = o.MeasureCrossing(ctx, &quiet, pool.Client(0), pool.Client(1), pool.Client(1+o.Nodes), step)
	res.ProgressWait, res.ProgressTotal = progress.Wait.Summarize(0), progress.Total.Summarize(0)
	res.OneRange, res.AllRanges = crossing.One.Summarize(0), crossing.All.Summarize(0)
	res.OneRangeQuiet, res.AllRangesQuiet = quiet.One.Summarize(0), quiet.All.Summarize(0)
	return res, err
}

// limits compares a result with what was asked for.
func (o *Options) limits(r Result) error {
	var errs []error
	if limit := stat.Ms(o.MaxProgress); limit > 0 && r.ProgressWait.P99Ms > limit {
		errs = append(errs, fmt.Errorf("progress takes %.2f ms at p99, at most %v wanted", r.ProgressWait.P99Ms, o.MaxProgress))
	}
	crossing := max(r.AllRanges.P99Ms-r.OneRange.P99Ms, r.AllRangesQuiet.P99Ms-r.OneRangeQuiet.P99Ms)
	if limit := stat.Ms(o.MaxCrossing); limit > 0 && crossing > limit {
		errs = append(errs, fmt.Errorf("a watch over all ranges is %v slower at p99, at most %v wanted",
			time.Duration(crossing*float64(time.Millisecond)), o.MaxCrossing))
	}
	return errors.Join(errs...)
}
