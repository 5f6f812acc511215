package restart

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Pontoon   string // binary
	Etcd      string // binary; empty: Pontoon alone
	Nodes     int    // default 3
	Keys      int    // default 1,000,000
	ValueSize int    // default 64
	Ranges    int    // of Pontoon, before it splits by itself; default 16
	Restarts  int    // default 3
	// Txn is how many keys one transaction of the fill puts; default 100.
	Txn     int
	Writers int // transactions in flight; default 16
	// FillLimit and ServeLimit bound the fill, and the time until reads are
	// answered after a start. Default 30 min and 5 min.
	FillLimit, ServeLimit time.Duration
	// Rest is the time between the last read and the second look at memory, and
	// before a kill. Default 10 s.
	Rest time.Duration
	// What the ratios to etcd may be at most; 0: whatever they are.
	MaxTime, MaxMemory float64

	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	def(&o.Nodes, 3)
	def(&o.Keys, 1_000_000)
	def(&o.ValueSize, 64)
	def(&o.Ranges, 16)
	def(&o.Restarts, 3)
	def(&o.Txn, 100)
	def(&o.Writers, 16)
	def(&o.FillLimit, 30*time.Minute)
	def(&o.ServeLimit, 5*time.Minute)
	def(&o.Rest, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if slices.Min([]int{o.Nodes, o.Keys, o.ValueSize, o.Ranges, o.Restarts, o.Txn, o.Writers}) < 1 || min(o.FillLimit, o.ServeLimit, o.Rest) < 0 {
		return errors.New("restart: counts, sizes and times must be positive")
	}
	if o.Keys < o.Ranges || o.Txn > 128 {
		return errors.New("restart: want a key for each range, and at most 128 keys in a transaction")
	}
	for _, s := range o.systems() {
		if _, err := os.Stat(s.binary); err != nil { // before minutes of the other one
			return fmt.Errorf("restart: %s binary: %w", s.kind, err)
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
	all := []system{{cluster.Pontoon, o.Pontoon, nil}}
	if o.Etcd != "" {
		// Ten million keys are more than etcd takes by default.
		all = append(all, system{cluster.Etcd, o.Etcd, []string{"--quota-backend-bytes=8589934592"}})
	}
	return all
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

const prefix = "restart/"

func keyName(i int) string { return fmt.Sprintf("%s%010d", prefix, i) }
