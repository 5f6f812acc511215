package sidebyside

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// System is one of the two that are compared.
type System struct {
	Kind   cluster.Kind
	Binary string
	Args   []string // further arguments of every node
}

// Options of a comparison. Zero values take the defaults.
type Options struct {
	Subject, Baseline System

	Nodes       int           // default 3
	Rounds      int           // default 3
	Cell        time.Duration // measured time of a cell; default 5 s
	Warmup      time.Duration // before it, not measured; default 1 s
	Clients     []int         // concurrent requests; default 64 and 512
	Connections int           // spread over the nodes; default 48
	Ranges      int           // the subject's keyspace is split so; default 16
	Keys        int           // default 4096
	ValueSize   int           // default 256
	Seed        uint64        // default 1
	// Floor: the comparison fails if a median throughput ratio is below it; 0:
	// never.
	Floor float64

	Dir      string // data and logs; default: temporary
	Logger   *slog.Logger
	Progress func(phase string, done, total int)
}

func (o *Options) complete() error {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Nodes, 3}, {&o.Rounds, 3}, {&o.Connections, 48}, {&o.Ranges, 16}, {&o.Keys, 4096}, {&o.ValueSize, 256}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("compare: counts and sizes must be positive")
		}
	}
	if len(o.Clients) == 0 {
		o.Clients = []int{64, 512}
	}
	for _, n := range o.Clients {
		if n < 1 {
			return fmt.Errorf("compare: %d clients", n)
		}
	}
	if o.Cell == 0 {
		o.Cell = 5 * time.Second
	}
	if o.Warmup == 0 {
		o.Warmup = time.Second
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	for _, s := range []System{o.Subject, o.Baseline} {
		if _, err := os.Stat(s.Binary); err != nil { // before minutes of the other one
			return fmt.Errorf("compare: %s binary: %w", s.Kind, err)
		}
	}
	if o.Keys < o.Ranges {
		return fmt.Errorf("compare: %d keys cannot fill %d ranges", o.Keys, o.Ranges)
	}
	return nil
}

func keyName(i int) string { return fmt.Sprintf("compare/%08d", i) }

// splitKeys cuts the keys into n ranges; what lies before the first key is the
// first of them.
func splitKeys(keys, n int) []string {
	var out []string
	for i := 1; i < n; i++ {
		out = append(out, keyName(i*keys/n))
	}
	return out
}
