package bench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/chapters"
	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/measure"
	benchreport "github.com/pontoon-kv/pontoon/bench/report"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/suite"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// The pace of a run: how often and how long each workload is measured.
type pace struct {
	rounds         int
	window, warmup time.Duration
}

var (
	fullPace  = pace{3, 3 * time.Second, time.Second}
	quickPace = pace{2, time.Second, 300 * time.Millisecond}
)

// runFlags are the flags of `bench run`.
type runFlags struct {
	suite.Options
	bin               binaries
	endpoints, beside list
	alone, strict     bool
	out               string
}

func runCommand() Command {
	var f runFlags
	var format output
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	f.bin.register(fs)
	f.register(fs)
	format.register(fs)
	return Command{
		Name: "run", Short: "Measure everything beside real etcd and write a report with plots", Flags: fs,
		Long: "Starts clusters of Pontoon and of etcd on this machine, one at a time in turn, measures all workloads with the\n" +
			"official client, and writes report.md, plots and raw.json to --out. With --endpoints a running cluster is measured.\n" +
			"Goals that are missed are told in the report; with --strict they are an error. A failed sample always is.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			if err := f.complete(); err != nil {
				return err
			}
			f.Progress = ProgressBar(progress)
			return report(ctx, &format, out, progress, f.run, f.Options)
		},
	}
}

func (f *runFlags) register(fs *flag.FlagSet) {
	fs.Var((*list)(&f.Select), "workloads", "measure only these: names or their first parts, separated by commas")
	fs.BoolVar(&f.Quick, "quick", false, "fewer workloads, smaller, for minutes instead of hours")
	fs.IntVar(&f.Rounds, "rounds", 0, fmt.Sprintf("interleaved rounds (default %d, quick %d)", fullPace.rounds, quickPace.rounds))
	fs.DurationVar(&f.Window, "cell", 0, fmt.Sprintf("measured time of each workload (default %v, quick %v)", fullPace.window, quickPace.window))
	fs.DurationVar(&f.Warmup, "warmup", 0, fmt.Sprintf("time before it that does not count (default %v, quick %v)", fullPace.warmup, quickPace.warmup))
	fs.IntVar(&f.Connections, "connections", 48, "connections, spread over the nodes")
	fs.Uint64Var(&f.Seed, "seed", 1, "seed of keys and choices")
	fs.Float64Var(&f.MaxErrorShare, "max-errors", 0.001, "share of requests that may fail before a sample is a failure")
	fs.StringVar(&f.ProfileDir, "profile", "", "take CPU and allocation profiles of every workload into this directory, in a pass of its own")
	fs.Var(&f.endpoints, "endpoints", "measure the cluster at these endpoints instead of starting one; keys below "+workload.Prefix+" are written and deleted")
	fs.Var(&f.beside, "beside-endpoints", "compare it with the cluster at these endpoints")
	fs.BoolVar(&f.alone, "alone", false, "measure Pontoon without etcd")
	fs.BoolVar(&f.strict, "strict", false, "fail if a goal is missed")
	fs.StringVar(&f.out, "out", "", "directory of the report (default bench/results/DATE-COMMIT)")
	fs.StringVar(&f.Dir, "dir", "", "directory of data and logs (default: temporary)")
}

// complete turns flags into options.
func (f *runFlags) complete() error {
	p := fullPace
	if f.Quick {
		p = quickPace
	}
	if f.Rounds == 0 {
		f.Rounds = p.rounds
	}
	if f.Window == 0 {
		f.Window = p.window
	}
	if f.Warmup == 0 {
		f.Warmup = p.warmup
	}
	f.Groups, f.Command = workload.Catalog(f.Quick), strings.Join(append([]string{"pontoon"}, os.Args[1:]...), " ")
	switch {
	case len(f.endpoints) > 0:
		f.Subject = suite.System{Name: "subject", Endpoints: f.endpoints}
		if len(f.beside) > 0 {
			f.Baseline = &suite.System{Name: "beside", Endpoints: f.beside}
		}
		if f.ProfileDir != "" {
			return fmt.Errorf("--profile needs clusters that are started here")
		}
	case len(f.beside) > 0:
		return fmt.Errorf("--beside-endpoints needs --endpoints")
	default:
		f.bin.fill(&f.Options)
		f.Sections = chapters.All(f.Quick)
		if f.alone {
			f.Baseline = nil
		}
	}
	return nil
}

// finished is a run and where its report lies.
type finished struct {
	*result.Run
	Report string `json:"report"`
}

// run measures and writes the report, also of a run that ended early.
func (f *runFlags) run(ctx context.Context, out io.Writer, o suite.Options) (*finished, error) {
	o.Keep = f.write
	run, err := suite.Run(ctx, out, o)
	if run == nil || len(run.Samples)+len(run.Sections) == 0 {
		return nil, err
	}
	errs := []error{err, f.write(run)}
	done := &finished{run, filepath.Join(f.out, benchreport.Report)}
	if n := len(run.Failures()); n > 0 {
		errs = append(errs, fmt.Errorf("%d samples or sections failed, see %s", n, done.Report))
	}
	if f.strict {
		errs = append(errs, missed(run)...)
	}
	return done, errors.Join(errs...)
}

// write writes the report of a run as far as it is.
func (f *runFlags) write(run *result.Run) error {
	if len(f.endpoints) == 0 {
		commitHere(&run.Subject.Build)
	}
	if f.out == "" {
		f.out = filepath.Join("bench", "results", defaultName(run))
	}
	return benchreport.Write(f.out, run)
}

// commitHere asks git for the commit of the working directory, for binaries
// that were built without it (-buildvcs=false, or not in a checkout).
func commitHere(b *measure.Build) {
	if b.Commit != "" {
		return
	}
	commit, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return
	}
	changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	b.Commit, b.Changed = string(bytes.TrimSpace(commit)), err != nil || len(bytes.TrimSpace(changes)) > 0
}

// defaultName is the date and the commit of what was measured.
func defaultName(run *result.Run) string {
	name := run.Began.Format(time.DateOnly)
	if c := run.Subject.Build.Commit; c != "" {
		name += "-" + c[:min(10, len(c))]
	}
	if run.Settings.Quick {
		name += "-quick"
	}
	return name
}

func missed(run *result.Run) (errs []error) {
	for _, j := range goals.Judge(run, goals.Table) {
		if j.Verdict == goals.Missed {
			errs = append(errs, fmt.Errorf("%s: %s%s, %s wanted", j.Goal.Title, goals.Number(j.Measured.Median), j.Goal.Unit, j.Goal.Bound(j.Goal.Floor)))
		}
	}
	return errs
}

// WriteText prints the goals and where the report is.
func (f *finished) WriteText(w io.Writer) {
	if f.Baseline != nil {
		for _, j := range goals.Judge(f.Run, goals.Table) {
			if j.Verdict != goals.NotMeasured {
				fmt.Fprintf(w, "%-12s %s%s (floor %s): %s\n", j.Verdict, goals.Number(j.Measured.Median), j.Goal.Unit, j.Goal.FloorText(), j.Goal.Title)
			}
		}
	}
	for _, failure := range f.Failures() {
		fmt.Fprintf(w, "FAILED %s\n", failure)
	}
	fmt.Fprintf(w, "report: %s, after %v\n", f.Report, time.Duration(f.Seconds*float64(time.Second)).Round(time.Second))
}
