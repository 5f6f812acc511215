package gaps

import (
	"fmt"
	"log/slog"
	"time"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Binary string
	Nodes  int           // default 3
	Tries  int           // of each scenario; default 20
	Every  time.Duration // between two puts of a range; default 10 ms
	// What a gap may be at most; 0: whatever it is.
	MaxLeaderKill    time.Duration
	MaxSequencerKill time.Duration
	MaxRestart       time.Duration

	Dir      string // data and logs; default: temporary
	Seed     uint64
	Args     []string // further arguments of every node
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Tries == 0 {
		o.Tries = 20
	}
	if o.Every == 0 {
		o.Every = 10 * time.Millisecond
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Nodes < 3 || o.Tries < 1 || o.Every < time.Millisecond {
		return fmt.Errorf("gaps: want at least three nodes, one try and a millisecond between puts")
	}
	return nil
}
