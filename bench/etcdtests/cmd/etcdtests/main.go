// Command etcdtests runs etcd's own tests against a binary that stands in for etcd. It
// exits with 1 when a test does not pass and nobody says why, or passes in spite of a
// reason, and with 2 when it could not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pontoon-kv/pontoon/bench/etcdtests"
)

type options struct {
	server   string
	packages string
	pattern  string
	files    string
	limit    time.Duration
	reasons  string
	report   string
	logs     string
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "../../bin/pontoon", "the binary that takes the place of bin/etcd")
	flag.StringVar(&o.packages, "packages", "common", "packages of etcd's tests module, with commas")
	flag.StringVar(&o.pattern, "run", ".", "run the top-level tests that match this regular expression only")
	flag.StringVar(&o.files, "files", "", "run the tests in these source files only, with commas: ctl_v3_kv_test.go; * is any text")
	flag.DurationVar(&o.limit, "timeout", 15*time.Minute, "time for one top-level test")
	flag.StringVar(&o.reasons, "reasons", "reasons.txt", "file with a reason for each test that does not pass; empty for none")
	flag.StringVar(&o.report, "report", "", "file to write the table to")
	flag.StringVar(&o.logs, "logs", "", "directory for the output of tests that fail without a reason")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, o)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "could not run:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

// run says whether the run was as the reasons say it is.
func run(ctx context.Context, o options) (ok bool, err error) {
	reasons, err := readReasons(o.reasons)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "etcdtests-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lab, err := etcdtests.NewLab(ctx, dir, o.server)
	if err != nil {
		return false, err
	}
	var results []etcdtests.Result
	for pkg := range strings.SplitSeq(o.packages, ",") {
		more, err := runPackage(ctx, lab, pkg, o)
		if err != nil {
			return false, err
		}
		results = append(results, more...)
	}
	if len(results) == 0 {
		return false, fmt.Errorf("no test of %s matches", o.packages)
	}
	return conclude(etcdtests.Judge(results, reasons, o.pattern == "." && o.files == ""), o)
}

func readReasons(path string) ([]etcdtests.Reason, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	reasons, err := etcdtests.ReadReasons(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return reasons, nil
}

func runPackage(ctx context.Context, lab *etcdtests.Lab, pkg string, o options) ([]etcdtests.Result, error) {
	binary, err := lab.Build(ctx, pkg)
	if err != nil {
		return nil, err
	}
	tests, err := binary.List(ctx, o.pattern)
	if err != nil {
		return nil, err
	}
	if o.files != "" {
		if tests, err = lab.In(pkg, strings.Split(o.files, ","), tests); err != nil {
			return nil, err
		}
	}
	var results []etcdtests.Result
	for i, test := range tests {
		began := time.Now()
		one, err := binary.Run(ctx, test, o.limit)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		fmt.Printf("%3d/%d %s %s: %s in %v\n", i+1, len(tests), pkg, test, etcdtests.Count(one), time.Since(began).Round(100*time.Millisecond))
		results = append(results, one...)
		if err := keepLogs(o.logs, one); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// keepLogs writes what failed tests printed to a file each.
func keepLogs(dir string, results []etcdtests.Result) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, r := range results {
		if r.Outcome != etcdtests.Failed {
			continue
		}
		name := strings.ReplaceAll(r.Package+"."+r.Test, "/", ".") + ".log"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(r.Output), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func conclude(v *etcdtests.Verdict, o options) (bool, error) {
	if o.report != "" {
		f, err := os.Create(o.report)
		if err != nil {
			return false, err
		}
		if err := errors.Join(v.WriteReport(f), f.Close()); err != nil {
			return false, err
		}
	}
	for i := range v.Results {
		if r := &v.Results[i]; r.Outcome != etcdtests.Passed {
			fmt.Printf("%s %s %s (%s)\n", r.Outcome, r.Package, r.Test, v.Reason(r))
		}
	}
	for _, e := range v.Errors {
		fmt.Println("ERROR:", e)
	}
	fmt.Println(v.Summary())
	return len(v.Errors) == 0, nil
}
