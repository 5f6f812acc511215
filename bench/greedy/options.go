package greedy

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Pontoon   string   // binary
	Nodes     int      // default 3
	Args      []string // more arguments of the nodes
	Scenarios []string // default: all

	CPU    float64       // cores of each node; default 0.5
	Period time.Duration // over which CPU is counted; default 10 ms
	Memory int64         // bytes of each node; default 1 GiB
	Cgroup string        // group to make groups in; default: found

	Cell       time.Duration // time of each phase; default 15 s
	Ranges     int           // of the users' keys; default 8
	Bystanders int           // clients; default 8
	Rate       float64       // requests a second of all bystanders; default 100
	Limit      time.Duration // in which a bystander must be answered; default 10 s
	LeaseTTL   time.Duration // of the lease that is kept alive; default 5 s

	HotClients   int   // that put to one range; default 512
	Lists        int   // under way at a time; default 64
	ListBytes    int64 // of the values of a list; default 32 MiB
	SlowWatchers int   // that nobody reads; default 64
	Watchers     int   // of one prefix; default 10,000
	InFlight     int64 // bytes of puts at once; default 100 MiB

	// What a scenario must keep to besides what it must in any case, see judge.
	MaxP99     time.Duration // of the bystanders beside greedy clients; default 2 s
	MaxRefused float64       // share of the bystanders' requests; 0: none

	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	o.Nodes = cmp.Or(o.Nodes, 3)
	o.CPU = cmp.Or(o.CPU, 0.5)
	o.Period = cmp.Or(o.Period, 10*time.Millisecond)
	o.Memory = cmp.Or(o.Memory, 1<<30)
	o.Cell = cmp.Or(o.Cell, 15*time.Second)
	o.Ranges = cmp.Or(o.Ranges, 8)
	o.Bystanders = cmp.Or(o.Bystanders, 8)
	o.Rate = cmp.Or(o.Rate, 100)
	o.Limit = cmp.Or(o.Limit, 10*time.Second)
	o.LeaseTTL = cmp.Or(o.LeaseTTL, 5*time.Second)
	o.HotClients = cmp.Or(o.HotClients, 512)
	o.Lists = cmp.Or(o.Lists, 64)
	o.ListBytes = cmp.Or(o.ListBytes, 32<<20)
	o.SlowWatchers = cmp.Or(o.SlowWatchers, 64)
	o.Watchers = cmp.Or(o.Watchers, 10_000)
	o.InFlight = cmp.Or(o.InFlight, 100<<20)
	o.MaxP99 = cmp.Or(o.MaxP99, 2*time.Second)
	if len(o.Scenarios) == 0 {
		o.Scenarios = Names()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o.validate()
}

func (o *Options) validate() error {
	for _, name := range o.Scenarios {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("greedy: there is no scenario %q, but %s", name, strings.Join(Names(), ", "))
		}
	}
	if min(o.Nodes, o.Ranges, o.Bystanders, o.HotClients, o.Lists, o.SlowWatchers, o.Watchers) < 1 || o.Rate <= 0 || o.MaxRefused < 0 {
		return errors.New("greedy: counts, rates and shares must be positive")
	}
	if min(o.ListBytes/listValue, o.InFlight/largeValue) < 1 {
		return fmt.Errorf("greedy: a list must have %d bytes at least, puts in flight %d", listValue, largeValue)
	}
	if o.CPU < 0 || o.Memory < 1<<20 || o.Period < time.Millisecond || min(o.Cell, o.Limit, o.MaxP99) <= 0 || o.LeaseTTL < time.Second {
		return errors.New("greedy: caps and times must be positive, a lease of a second at least")
	}
	if _, err := os.Stat(o.Pontoon); err != nil {
		return fmt.Errorf("greedy: pontoon binary: %w", err)
	}
	return nil
}

// rangePrefix begins the keys of a range.
func rangePrefix(i int) string { return fmt.Sprintf("greedy/%03d/", i) }

// targetRange is the range that all greedy clients go for.
func (o *Options) targetRange() int { return o.Ranges / 2 }

// target begins the keys of one kind in it.
func (o *Options) target(kind string) string { return rangePrefix(o.targetRange()) + kind + "/" }

// numbered is the n-th key of a prefix.
func numbered(prefix string, n int) string { return fmt.Sprintf("%s%08d", prefix, n) }
