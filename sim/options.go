package sim

import (
	"log/slog"
	"time"
)

// Options of one run. Seed decides everything that is drawn.
type Options struct {
	Seed  uint64
	Steps int    // faults done to the cluster; default DefaultSteps
	Dir   string // for the few files that nodes keep beside the engine
	// Logger takes what the nodes log. Nil: nothing.
	Logger *slog.Logger
	// Trace takes what the run does. Nil: nothing.
	Trace *slog.Logger
}

// What a run is made of, when nothing else is asked for.
const (
	DefaultSteps = 12

	clients  = 4
	keys     = 12
	interval = 80 * time.Millisecond // between two requests of a client

	// settleLimit is how long after the last fault everything may take to be
	// served again by every node: two elections, a reconnection, and the TTL of
	// leases that were left to expire, counted again from a change of leader (3 s).
	settleLimit = 30 * time.Second
	// searchLimit bounds the linearizability search, in real time.
	searchLimit = 60 * time.Second
)

func (o *Options) complete() {
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = slog.New(slog.DiscardHandler)
	}
}
