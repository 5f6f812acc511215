package overload

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Pontoon string   // binary
	Etcd    string   // binary; empty: Pontoon alone
	Nodes   int      // default 3
	Args    []string // more arguments of Pontoon's nodes

	CPU    float64       // cores of each node; default 0.2
	Period time.Duration // over which CPU is counted; default 10 ms
	Cgroup string        // group to make groups in; default: found

	Clients     int           // of the closed loops; default 512
	Times       float64       // offered load, as times of the peak; default 4
	Deadline    time.Duration // of a put; default 1 s
	Cell        time.Duration // measured time of each phase; default 10 s
	Warmup      time.Duration // before it; default 4 s
	Connections int           // default 48
	Ranges      int           // of the users' keys; default 16
	Keys        int           // default 8192
	ValueSize   int           // default 256
	LeaseTTL    time.Duration // of the lease that is kept alive; default 5 s

	// The run fails if Pontoon's useful puts under the offered load are fewer than
	// this share of its peak, or if its lease or a leader is lost; 0: never.
	MinGoodput float64
	// MaxResident is what the memory of a node may reach, bytes; 0: whatever it is.
	MaxResident int64

	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	o.Nodes = cmp.Or(o.Nodes, 3)
	o.CPU = cmp.Or(o.CPU, 0.2)
	o.Period = cmp.Or(o.Period, 10*time.Millisecond)
	o.Clients = cmp.Or(o.Clients, 512)
	o.Times = cmp.Or(o.Times, 4)
	o.Deadline = cmp.Or(o.Deadline, time.Second)
	o.Cell = cmp.Or(o.Cell, 10*time.Second)
	o.Warmup = cmp.Or(o.Warmup, 4*time.Second)
	o.Connections = cmp.Or(o.Connections, 48)
	o.Ranges = cmp.Or(o.Ranges, 16)
	o.Keys = cmp.Or(o.Keys, 8192)
	o.ValueSize = cmp.Or(o.ValueSize, 256)
	o.LeaseTTL = cmp.Or(o.LeaseTTL, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if min(o.Nodes, o.Clients, o.Connections, o.Ranges, o.ValueSize) < 1 {
		return errors.New("overload: counts and sizes must be positive")
	}
	if o.CPU < 0 || o.Period < time.Millisecond || min(o.Cell, o.Warmup, o.Deadline) <= 0 || o.LeaseTTL < time.Second {
		return errors.New("overload: caps and times must be positive, a lease of a second at least")
	}
	if o.Times < 1 || o.Times > 10 {
		return errors.New("overload: the offered load must be 1 to 10 times the peak")
	}
	if o.Keys < o.Ranges {
		return fmt.Errorf("overload: %d keys cannot fill %d ranges", o.Keys, o.Ranges)
	}
	for _, s := range o.systems() {
		if _, err := os.Stat(s.binary); err != nil { // before minutes of the other one
			return fmt.Errorf("overload: %s binary: %w", s.kind, err)
		}
	}
	return nil
}

type system struct {
	kind   cluster.Kind
	binary string
	args   []string
}

func (o *Options) systems() []system {
	all := []system{{cluster.Pontoon, o.Pontoon, o.Args}}
	if o.Etcd != "" {
		all = append(all, system{cluster.Etcd, o.Etcd, nil})
	}
	return all
}

func keyName(i int) string { return fmt.Sprintf("overload/%08d", i) }
