package freshness

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	// Systems are measured one after the other; limits apply to the first.
	Systems []cluster.System

	Probe
	Nodes int // default 3

	// MaxProgress fails the run if progress at p99 takes longer; 0: never.
	MaxProgress time.Duration
	// MaxCrossing fails the run if a watch over all ranges is slower than one
	// over a single range by more at p99; 0: never.
	MaxCrossing time.Duration

	Dir    string // data and logs; default: temporary
	Logger *slog.Logger
	Show   func(phase string, done, total int) // how far it is
}

func (o *Options) complete() error {
	if len(o.Systems) == 0 {
		return fmt.Errorf("freshness: no system to measure")
	}
	for _, s := range o.Systems {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("freshness: %w", err)
		}
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Nodes < 1 {
		return fmt.Errorf("freshness: nodes must be positive")
	}
	if o.Show == nil {
		o.Show = func(string, int, int) {}
	}
	return o.Probe.Complete()
}
