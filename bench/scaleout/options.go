package scaleout

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"
)

// Options of a measurement. Zero values take the defaults.
type Options struct {
	Pontoon      string // binary
	Etcd         string // binary; empty: Pontoon alone
	PontoonNodes []int  // default 3, 6, 9, 12
	EtcdNodes    []int  // default 3, 5, 7
	Rounds       int    // of all sizes; default 1

	CPU        float64       // cores of each node; default 0.15
	Period     time.Duration // over which CPU is counted; default 10 ms
	WriteBytes int64         // a node may write each second; 0: not capped
	Cgroup     string        // group to make groups in; default: found

	Idle   time.Duration // in which nobody asks anything, measured before; default 3 s
	Cell   time.Duration // measured time; default 8 s
	Warmup time.Duration // before it, capped; default 4 s
	// Clients are concurrent requests, as many at every size: enough to keep the
	// largest one busy. Default 1536.
	Clients     int
	Connections int // default 72
	Ranges      int // of the users' keys; default 36
	Keys        int // default 8192
	ValueSize   int // default 256
	// From and To are the sizes whose ratio is reported; default 3 and 9. The run
	// fails if it is below MinRatio; 0: never.
	From, To int
	MinRatio float64

	Profiles string // directory for CPU profiles of Pontoon's nodes; empty: none
	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	def(&o.Rounds, 1)
	def(&o.CPU, 0.15)
	def(&o.Period, 10*time.Millisecond)
	def(&o.Idle, 3*time.Second)
	def(&o.Cell, 8*time.Second)
	def(&o.Warmup, 4*time.Second)
	def(&o.Clients, 1536)
	def(&o.Connections, 72)
	def(&o.Ranges, 36)
	def(&o.Keys, 8192)
	def(&o.ValueSize, 256)
	def(&o.From, 3)
	def(&o.To, 9)
	if len(o.PontoonNodes) == 0 {
		o.PontoonNodes = []int{3, 6, 9, 12}
	}
	if len(o.EtcdNodes) == 0 {
		o.EtcdNodes = []int{3, 5, 7}
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
	if slices.Min(slices.Concat(o.PontoonNodes, o.EtcdNodes, []int{o.Rounds, o.Clients, o.Connections, o.Ranges, o.ValueSize, o.From, o.To})) < 1 {
		return errors.New("scaleout: counts and sizes must be positive")
	}
	if o.CPU < 0 || o.Period < time.Millisecond || o.WriteBytes < 0 || o.Idle < 0 || o.Cell < 0 || o.Warmup < 0 {
		return errors.New("scaleout: caps and times must be positive")
	}
	if o.Keys < o.Ranges {
		return fmt.Errorf("scaleout: %d keys cannot fill %d ranges", o.Keys, o.Ranges)
	}
	for _, binary := range []string{o.Pontoon, o.Etcd} {
		if binary == "" {
			continue
		}
		if _, err := os.Stat(binary); err != nil { // before minutes of the other one
			return fmt.Errorf("scaleout: binary: %w", err)
		}
	}
	return nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func keyName(i int) string { return fmt.Sprintf("scaleout/%08d", i) }

// splitKeys cuts the keys into n ranges; what lies before the first key is the
// first of them.
func splitKeys(keys, n int) []string {
	var out []string
	for i := 1; i < n; i++ {
		out = append(out, keyName(i*keys/n))
	}
	return out
}
