package driver

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Driver.
type Options struct {
	ClusterID uint64
	Reports   Reports
	Sender    Sender
	Transport Transport
	Roster    Roster
	Liveness  Liveness
	Ranges    Ranges
	Root      Root
	// Interval is how often a plan is made. Default 1 s.
	Interval time.Duration
	// StepInterval is how often a running operator looks at its range. Default
	// 200 ms.
	StepInterval time.Duration
	// Timeout bounds one report, read or operation. Default 5 s; a merge gets
	// mergeTimes as much.
	Timeout time.Duration
	// MaxOperators bounds those in flight, which have a goroutine each. Default
	// 64.
	MaxOperators int
	Logger       *slog.Logger
	Registerer   prometheus.Registerer
}

const (
	mergeTimes      = 6
	parallelReports = 16 // in flight
	reportTimeout   = 2 * time.Second
	keptOperators   = 200 // that ended
)

func (o *Options) defaults() error {
	if o.Reports == nil || o.Sender == nil || o.Transport == nil || o.Roster == nil ||
		o.Liveness == nil || o.Ranges == nil || o.Root == nil {
		return errors.New("driver: all ports are required")
	}
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.StepInterval <= 0 {
		o.StepInterval = 200 * time.Millisecond
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxOperators <= 0 {
		o.MaxOperators = 64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
