package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	benchreport "github.com/pontoon-kv/pontoon/bench/report"
	"github.com/pontoon-kv/pontoon/bench/result"
)

// checkOptions are two results to compare.
type checkOptions struct{ before, after string }

func checkCommand() Command {
	var o checkOptions
	var format output
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	fs.StringVar(&o.before, "before", "", "result to compare with: a directory of `bench run` or its raw.json")
	fs.StringVar(&o.after, "after", "", "result to judge")
	format.register(fs)
	return Command{
		Name: "check", Short: "Compare two results and fail at a regression beyond noise", Flags: fs,
		Long: "Compares the ratios to etcd, if both results have them, else the figures. A change counts if the medians differ by\n" +
			"more than the limit of their metric and the rounds of the two results do not overlap.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			return report(ctx, &format, out, progress, check, o)
		},
	}
}

// checked is what a check found.
type checked struct {
	Compared     int             `json:"compared"`
	Changes      []result.Change `json:"changes"`
	Lost         []string        `json:"lost"`
	OtherMachine bool            `json:"other_machine"`
}

func check(_ context.Context, _ io.Writer, o checkOptions) (*checked, error) {
	before, err := load(o.before)
	if err != nil {
		return nil, fmt.Errorf("--before: %w", err)
	}
	after, err := load(o.after)
	if err != nil {
		return nil, fmt.Errorf("--after: %w", err)
	}
	c := &checked{Lost: result.Lost(before, after), OtherMachine: before.Machine.CPU != after.Machine.CPU || before.Machine.Cores != after.Machine.Cores}
	c.Changes, c.Compared = result.Check(before, after, result.DefaultLimits())
	if c.Compared == 0 {
		return c, fmt.Errorf("the two results have nothing in common")
	}
	return c, c.err()
}

// load reads a result from its directory or its file.
func load(path string) (*result.Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		path = filepath.Join(path, benchreport.Raw)
	}
	return result.Load(path)
}

func (c *checked) err() error {
	var errs []error
	for _, change := range c.Changes {
		if change.Worse {
			errs = append(errs, fmt.Errorf("%s: %s went from %.3g to %.3g", change.Workload, change.Metric, change.Before, change.After))
		}
	}
	for _, name := range c.Lost {
		errs = append(errs, fmt.Errorf("%s was measured before and is not now", name))
	}
	return errors.Join(errs...)
}

// WriteText prints the changes.
func (c *checked) WriteText(w io.Writer) {
	for _, change := range c.Changes {
		fmt.Fprintln(w, change)
	}
	for _, name := range c.Lost {
		fmt.Fprintf(w, "LOST   %s\n", name)
	}
	if c.OtherMachine {
		fmt.Fprintln(w, "the two results are of different machines: only ratios can be compared")
	}
	fmt.Fprintf(w, "%d figures compared, %d changed\n", c.Compared, len(c.Changes))
}
