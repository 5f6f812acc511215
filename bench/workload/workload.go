package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// Prefix is that of all keys (I3).
const Prefix = "bench/"

// Group is workloads that share a cluster.
type Group struct {
	Name  string
	About string // what the cluster holds
	Nodes int
	// Splits are the keys at which a system with ranges is split.
	Splits []string
	// Keep: one cluster of each system serves all rounds, since filling it is
	// dear and nothing changes it. Else every round has fresh clusters.
	Keep bool
	// Rounds bounds the rounds of a group that takes long; 0: no bound.
	Rounds int
	// Fill prepares a fresh cluster.
	Fill      func(context.Context, *Target) error
	Workloads []Workload
}

// Workload is one thing that is measured.
type Workload struct {
	Name  string
	Unit  string // what an operation is
	About string
	// Limit bounds the whole of it, with what it prepares; default 2 minutes.
	Limit time.Duration
	Run   func(context.Context, *Target) (*Outcome, error)
}

// Target is a cluster to load and how.
type Target struct {
	Clients *dial.Pool
	Window  time.Duration // that counts
	Warmup  time.Duration // before it
	Seed    uint64
	Meter   Meter
	Shaker  Shaker // nil: a system that has no ranges to shake
}

// Meter measures the servers in the window.
type Meter interface {
	Start(context.Context) error
	Stop(context.Context) error
}

// Shaker splits ranges, moves replicas and leaderships until ctx ends, and
// returns how many it did of each.
type Shaker interface {
	Shake(ctx context.Context) (splits, moves, transfers int, err error)
}

// Outcome is what came of a workload.
type Outcome struct {
	Ops     int64         // that ended in the window
	Elapsed time.Duration // of the window; 0: the workload has a pace, its throughput says nothing
	Latency stat.Histogram
	Bytes   int64 // of keys and values written in the window
	Errors  int64 // requests that failed
	Error   error // the first of them
	Aspects []Aspect
	Note    string // what else happened
}

// Aspect is a second figure that a workload yields, with a name of its own.
type Aspect struct {
	Name    string
	Unit    string
	Elapsed time.Duration // as in an Outcome
	Latency stat.Histogram
}

// errWrong marks an answer that a correct system cannot give.
var errWrong = errors.New("wrong answer")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errWrong}, args...)...)
}

// metered runs f as the window.
func (t *Target) metered(ctx context.Context, f func() error) (time.Duration, error) {
	if err := t.Meter.Start(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, t.Meter.Stop(ctx)
}
