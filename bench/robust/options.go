package robust

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// Options of a run. Zero values take the defaults.
type Options struct {
	Kind   cluster.Kind
	Binary string
	Nodes  int    // default 3
	Dir    string // data, logs and failed histories; default: temporary, kept on failure

	Seed     uint64        // default: from the clock, printed
	Duration time.Duration // of load over all rounds; default 60 s
	Round    time.Duration // of load in one round; default 20 s
	Clients  int           // default 6
	Rate     float64       // requests per second over all clients; default 150
	Keys     int           // default 16
	Ranges   int           // Pontoon's keyspace is split so; default 8

	// Mode is what happens to the cluster meanwhile; default ModeCrash.
	Mode Mode
	// Objects of the Kubernetes-shaped load beside the checked clients, in
	// ModeElastic and ModeSoak; default 300.
	Objects int

	FaultEvery time.Duration // mean time between faults; default 4 s; negative: no faults
	// SearchLimit bounds the linearizability search of a round; default 60 s.
	SearchLimit time.Duration
	// SettleLimit bounds how long healing, expiry and watches may take at the
	// end of a round; default 60 s.
	SettleLimit time.Duration

	// Samples is a directory for plots and figures of what the nodes take; empty:
	// nobody looks, but in ModeSoak.
	Samples string

	Args     []string // further arguments of every node
	Logger   *slog.Logger
	Progress func(phase string, done, total int) // optional
}

// Mode is a kind of run.
type Mode string

// The modes known.
const (
	ModeCrash   Mode = "crash"   // processes are killed, paused, stopped and restarted
	ModeNet     Mode = "net"     // links between processes are cut and healed
	ModeElastic Mode = "elastic" // nodes join, die for good and leave; ranges split, merge and move
	ModeSoak    Mode = "soak"    // nodes restart in turn, ranges split, merge and move; what the nodes take stays level
	ModeAll     Mode = "all"     // crash and net, and disks lose power, stall and fill up
)

// moves says whether ranges move all the time, beside a Kubernetes-shaped load.
func (m Mode) moves() bool { return m == ModeElastic || m == ModeSoak }

func (o *Options) complete() error {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	count(&o.Nodes, 3)
	count(&o.Clients, 6)
	count(&o.Keys, 16)
	count(&o.Ranges, 8)
	count(&o.Objects, 300)
	set(&o.Duration, time.Minute)
	set(&o.Round, 20*time.Second)
	set(&o.FaultEvery, 4*time.Second)
	set(&o.SearchLimit, time.Minute)
	set(&o.SettleLimit, time.Minute)
	if o.Rate == 0 {
		o.Rate = 150
	}
	switch o.Mode {
	case "":
		o.Mode = ModeCrash
	case ModeCrash:
	case ModeNet, ModeElastic, ModeSoak, ModeAll:
		if o.Kind != cluster.Pontoon {
			return fmt.Errorf("robust: mode %s is for pontoon only", o.Mode)
		}
	default:
		return fmt.Errorf("robust: mode must be crash, net, elastic, soak or all (set to %q)", o.Mode)
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Keys < 2 || o.Keys > 99 || o.Ranges < 1 || o.Ranges > o.Keys || o.Clients < 1 || o.Rate < 0 || o.Duration < 0 || o.Round < 0 {
		return fmt.Errorf("robust: want 2..99 keys, ranges no more than keys, at least one client and positive times: %d keys, %d ranges, %d clients, %v/s, %v in rounds of %v",
			o.Keys, o.Ranges, o.Clients, o.Rate, o.Duration, o.Round)
	}
	o.Round = min(o.Round, o.Duration)
	return nil
}

// The span of all keys. It lies in user space like any other prefix.
const (
	spanKey = "robust/"
	spanEnd = "robust0"
)

func keyName(i int) string { return fmt.Sprintf("robust/%02d", i) }

// splitKeys cuts the span into n ranges of about equal numbers of keys.
func splitKeys(keys, n int) []string {
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, keyName(i*keys/n))
	}
	return out
}
