// Command diff runs the differential test of Pontoon against real etcd. It exits with
// 1 on a difference and with 2 when it could not run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
	"github.com/pontoon-kv/pontoon/bench/oracle/diff"
)

type options struct {
	plan         diff.Plan
	subject      string
	nodes        int
	replay       string
	shrinkBudget time.Duration
	out          string
}

func main() {
	var o options
	flag.IntVar(&o.plan.Ops, "ops", 2000, "number of operations")
	flag.Uint64Var(&o.plan.Seed, "seed", 1, "seed of the generator")
	flag.IntVar(&o.plan.Splits, "splits", 20, "splits of the subject's ranges, half of them before the run")
	flag.IntVar(&o.plan.Merges, "merges", 0, "merges of the subject's ranges during the run")
	flag.IntVar(&o.plan.Moves, "moves", 0, "replicas of the subject moved during the run; needs more than 3 nodes")
	flag.IntVar(&o.plan.Transfers, "transfers", 0, "leaderships of the subject moved during the run")
	flag.IntVar(&o.plan.Expiries, "expiries", 3, "leases that are let expire")
	flag.IntVar(&o.plan.Auth, "auth", 0, "percent of auth, lock, election and maintenance calls; all operations are then issued by several clients")
	flag.IntVar(&o.nodes, "nodes", 3, "nodes of the subject")
	flag.StringVar(&o.subject, "subject", "pontoon", "what is compared with etcd: pontoon, or etcd itself to calibrate")
	flag.StringVar(&o.replay, "replay", "", "run the operations in this file instead of generated ones")
	flag.DurationVar(&o.shrinkBudget, "shrink", 2*time.Minute, "time to spend on shrinking a failing sequence; 0 for none")
	flag.StringVar(&o.out, "out", "", "file for a failing sequence; default diff-SEED.txt in the temporary directory")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, o)
	stop()
	if err := cluster.RemoveBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(ctx context.Context, o options) int {
	start := diff.Clusters(o.subject, o.nodes)
	src, err := source(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	var p diff.Progress
	began := time.Now()
	stopReport := report(&p, began)
	executed, d, err := diff.Execute(ctx, start, src, diff.DefaultPatience, &p)
	stopReport()
	switch {
	case d != nil:
		fmt.Printf("DIFFERENCE seed=%d\n%s\n%s\n", o.plan.Seed, d, d.Logs)
		shrink(ctx, o, start, executed, d)
		return 1
	case err != nil:
		fmt.Fprintln(os.Stderr, "the run could not go on:", err)
		return 2
	}
	fmt.Printf("no difference: %s\nslowest: %s\n", summary(&p, time.Since(began)), p.Slowest())
	for _, t := range []*diff.Tally{&p.Splits, &p.Merges, &p.Moves, &p.Transfers} {
		if err := t.Refusal(); err != nil {
			fmt.Println("refused, for example:", err)
		}
	}
	return 0
}

func source(o options) (diff.Source, error) {
	if o.replay == "" {
		return diff.NewGenerator(o.plan), nil
	}
	text, err := os.ReadFile(o.replay)
	if err != nil {
		return nil, err
	}
	ops, err := diff.Parse(string(text))
	if err != nil {
		return nil, err
	}
	return diff.Sequence(ops), nil
}

// shrink writes the failing sequence to a file and, shrunk, also to the output.
func shrink(ctx context.Context, o options, start diff.Start, ops []diff.Op, d *diff.Difference) {
	path := o.out
	if path == "" {
		path = fmt.Sprintf("%s/diff-%d.txt", os.TempDir(), o.plan.Seed)
	}
	save := func(ops []diff.Op) {
		if err := os.WriteFile(path, []byte(diff.Format(ops)), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	save(ops)
	fmt.Printf("%d operations in %s\n", len(ops), path)
	if o.shrinkBudget <= 0 {
		return
	}
	fmt.Printf("shrinking for at most %s ...\n", o.shrinkBudget)
	shrunk, d := diff.Shrink(ctx, start, ops, d, o.shrinkBudget)
	save(shrunk)
	fmt.Printf("shrunk to %d operations (replay with -replay %s):\n%s\n%s\n", len(shrunk), path, diff.Format(shrunk), d)
}

// report prints a progress line every few seconds until it is stopped.
func report(p *diff.Progress, began time.Time) (stop func()) {
	tick := time.NewTicker(5 * time.Second)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-tick.C:
				fmt.Println(summary(p, time.Since(began)))
			case <-done:
				return
			}
		}
	}()
	return func() { tick.Stop(); close(done); <-ended }
}

func summary(p *diff.Progress, d time.Duration) string {
	ops := p.Ops.Load()
	text := fmt.Sprintf("%d operations (%.0f/s), %d answers of which %d errors, revision %d, %d watchers, %d events compared",
		ops, float64(ops)/d.Seconds(), p.Answers.Load(), p.Refusals.Load(), p.Revision.Load(), p.Watchers.Load(), p.Events.Load())
	for _, t := range []struct {
		what  string
		tally *diff.Tally
	}{{"splits", &p.Splits}, {"merges", &p.Merges}, {"moves", &p.Moves}, {"transfers", &p.Transfers}} {
		if done, refused := t.tally.Done.Load(), t.tally.Refused.Load(); done+refused > 0 {
			text += fmt.Sprintf(", %d %s (%d refused)", done, t.what, refused)
		}
	}
	if n := p.LeasesExtended.Load(); n > 0 {
		text += fmt.Sprintf(", %d leases extended", n)
	}
	return fmt.Sprintf("%s, %d stale reads, %s", text, p.ReadsStale.Load(), d.Round(time.Second))
}
