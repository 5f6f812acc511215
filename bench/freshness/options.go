package freshness

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/sidebyside"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	// Systems are measured one after the other; limits apply to the first.
	Systems []sidebyside.System

	Nodes   int     // default 3
	Ranges  int     // of the watched prefix; default 8
	Samples int     // of each measurement; default 400
	Rate    float64 // puts per second of each writer; default 100
	// Wait bounds one wait for progress or an event; default 10 s.
	Wait time.Duration

	// MaxProgress fails the run if progress at p99 takes longer; 0: never.
	MaxProgress time.Duration
	// MaxCrossing fails the run if a watch over all ranges is slower than one
	// over a single range by more at p99; 0: never.
	MaxCrossing time.Duration

	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	if len(o.Systems) == 0 {
		return fmt.Errorf("freshness: no system to measure")
	}
	for _, s := range o.Systems {
		if _, err := os.Stat(s.Binary); err != nil {
			return fmt.Errorf("freshness: %s binary: %w", s.Kind, err)
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Nodes, 3}, {&o.Ranges, 8}, {&o.Samples, 400}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 1 {
			return fmt.Errorf("freshness: counts must be positive")
		}
	}
	if o.Rate == 0 {
		o.Rate = 100
	}
	if o.Rate < 0 {
		return fmt.Errorf("freshness: rate must be positive")
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return nil
}

const (
	prefix    = "fresh/"
	absentKey = "fresh/absent" // sorts into the watched prefix, like a resource's own name
	elsewhere = "other/key"
)

// rangePrefix is the part of the prefix that the i-th range holds.
func rangePrefix(i int) string { return fmt.Sprintf("%s%02d/", prefix, i) }

// splitKeys puts each part into a range of its own and the rest apart.
func splitKeys(n int) []string {
	var keys []string
	for i := range n {
		keys = append(keys, rangePrefix(i))
	}
	return append(keys, "g")
}
