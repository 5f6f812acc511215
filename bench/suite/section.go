package suite

import (
	"context"
	"io"
	"log/slog"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/result"
)

// Section is a measurement of its own shape that becomes a chapter of the
// report: it starts what it needs and ends it.
type Section interface {
	// Name is one word: that of the chapter, of its files and for --workloads.
	Name() string
	// Run measures and returns tables, plots and the figures that goals ask for.
	// What it found before an error is kept; the error is told in the report and
	// does not end the run. It must end soon after ctx.
	Run(ctx context.Context, env Env) (*result.Section, error)
}

// Env is what a section needs to know.
type Env struct {
	Pontoon cluster.System
	Etcd    *cluster.System // nil: nothing to compare with
	Quick   bool
	Seed    uint64
	Dir     string    // empty, its own, removed afterwards
	Out     io.Writer // a line now and then of what it found
	Logger  *slog.Logger
	// Progress shows how far a phase is.
	Progress func(phase string, done, total int)
}
