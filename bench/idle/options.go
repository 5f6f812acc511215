package idle

import (
	"fmt"
	"log/slog"
	"time"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Binary string
	Nodes  int           // default 3
	Ranges int           // default 10,000
	Splits int           // in flight at a time; default 48
	Settle time.Duration // longest wait until ranges sleep; default 2 min
	Window time.Duration // over which CPU is measured, memory at its end; default 1 min
	Reads  int           // ranges read after the restart; default 200
	// What may be at most; 0: whatever it is.
	MaxCPUPercent   float64 // of one core, of each process
	MaxReplicaBytes int64   // of memory, of each replica
	MaxRestart      time.Duration

	Dir      string   // data and logs; default: temporary
	Args     []string // further arguments of every node
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	def(&o.Nodes, 3)
	def(&o.Ranges, 10_000)
	def(&o.Splits, 48)
	def(&o.Settle, 2*time.Minute)
	def(&o.Window, time.Minute)
	def(&o.Reads, 200)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Nodes < 1 || o.Ranges < 10 || o.Splits < 1 || o.Window < time.Second {
		return fmt.Errorf("idle: want a node, ten ranges, a split at a time and a second of measurement")
	}
	return nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
