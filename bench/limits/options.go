package limits

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Binary      string        // pontoon, which is started as echo server and for the engine
	Clients     []int         // concurrent requests at the echo server; default 1, 64, 512
	Connections int           // default 48
	Committers  []int         // at the engine; default 1, 16
	ValueSize   int           // default 256
	Syncs       int           // of each kind, at most; default 2000
	Cell        time.Duration // measured time of each; default 3 s
	Warmup      time.Duration // before it; default 1 s
	Dir         string        // where files are synced and the engine lies; default: temporary
	Progress    func(phase string, done, total int)
}

func (o *Options) complete() error {
	if len(o.Clients) == 0 {
		o.Clients = []int{1, 64, 512}
	}
	if len(o.Committers) == 0 {
		o.Committers = []int{1, 16}
	}
	def(&o.Connections, 48)
	def(&o.ValueSize, 256)
	def(&o.Syncs, 2000)
	def(&o.Cell, 3*time.Second)
	def(&o.Warmup, time.Second)
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if slices.Min(slices.Concat(o.Clients, o.Committers, []int{o.Connections, o.ValueSize, o.Syncs})) < 1 || o.Cell < 0 || o.Warmup < 0 {
		return errors.New("limits: counts, sizes and times must be positive")
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return fmt.Errorf("limits: pontoon binary: %w", err)
	}
	return nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
