//go:build unix

package saturation

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"testing"
	"time"
)

var scaleout = flag.String("scaleout", "", "report of `pontoon bench scaleout --output json`: calibrates a put and is compared with")

var full = flag.Bool("full", false, "up to 100 nodes and 100,000 ranges")

// standardPut is used without a report: three capped nodes, see
// docs/performance.md.
const standardPut = 160 * time.Microsecond

const delay = 50 * time.Microsecond // half of a round trip on a local network

func setup(nodes, ranges int, cores float64) Setup {
	return Setup{Nodes: nodes, Ranges: ranges, Cores: cores, Writers: 512, Delay: delay, For: 400 * time.Millisecond, Seed: 1}
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s: %.4g, want %.4g", what, got, want)
	}
}

// The laws that a model must keep: without a sequencer to speak of throughput is
// cores divided by cost; with one that is dear it is that of the sequencer's
// node; and one seed has one outcome.
func TestLaws(t *testing.T) {
	cheap := Costs{Put: 200 * time.Microsecond}
	for _, n := range []int{3, 9} {
		o := Run(setup(n, 36, 1), cheap)
		within(t, "all nodes full", o.PutsPerSecond, float64(n)/cheap.Put.Seconds(), 0.1)
		if o.Bound() != "all nodes" {
			t.Errorf("%d nodes: %v", n, o)
		}
	}
	// Every message keeps the root busy for 100 us, and nothing else does.
	dear := Costs{Put: 60 * time.Nanosecond, Ask: 100 * time.Microsecond}
	s := setup(8, 36, 1)
	s.Relieved, s.Writers = true, 32
	o := Run(s, dear)
	within(t, "asks of a full sequencer", o.AsksPerSecond, 1e4, 0.05)
	if o.Bound() != "the sequencer's node" {
		t.Errorf("%v", o)
	}
	if again := Run(s, dear); again != o {
		t.Errorf("%v, then %v", o, again)
	}
	// Placement takes its share of the root's CPU: 5 s of every 10 s.
	idle := Run(setup(3, 1_000_000, 1), Costs{Put: time.Millisecond, Plan: 5 * time.Microsecond})
	within(t, "placement", idle.Placing, 0.5, 0.01)
	// Peers cost what they cost.
	s = setup(11, 36, 1)
	s.Writers = 64
	o = Run(s, Costs{Put: 200 * time.Microsecond, Peer: 0.05})
	within(t, "half of each node left", o.PutsPerSecond, 11*0.5/0.0002, 0.1)
}

// measured is what the test needs of a report of scaleout.
type measured struct {
	Setup struct {
		CPU     float64 `json:"cpu_cores_per_node"`
		Clients int     `json:"clients"`
		Ranges  int     `json:"ranges"`
	} `json:"setup"`
	Points []struct {
		System    string  `json:"system"`
		Nodes     int     `json:"nodes"`
		PerSecond float64 `json:"per_second"`
		CPUMicros float64 `json:"cpu_us_per_op"`
		IdleCores float64 `json:"idle_cores_per_node"`
	} `json:"points"`
}

// TestSaturation measures the costs, compares with what was measured of real
// clusters, and goes on to sizes that this machine cannot run. Without -full it
// is a small version of itself.
func TestSaturation(t *testing.T) {
	streams, window, nodes, ranges := 8, 100*time.Millisecond, 10, 1000
	sizes := []struct{ nodes, ranges int }{{3, 100}, {30, 1000}}
	if *full {
		streams, window, nodes, ranges = 64, time.Second, 100, 20_000
		sizes = []struct{ nodes, ranges int }{{3, 100}, {9, 1000}, {30, 10_000}, {100, 10_000}, {100, 100_000}}
	}
	costs := Costs{Put: standardPut, Ask: measureAsk(t, streams, window)}
	costs.Report, costs.Plan = measureRound(t, nodes, ranges)
	if *scaleout != "" {
		compare(t, &costs)
	}
	t.Logf("costs: put %v, ask %v on either side, report %v and plan %v a range, %.3f %% of a core for a peer",
		costs.Put, costs.Ask, costs.Report, costs.Plan, costs.Peer*100)
	for _, c := range sizes {
		for _, relieved := range []bool{false, true} {
			s := setup(c.nodes, c.ranges, 1)
			if s.Relieved = relieved; !*full {
				s.Writers, s.For = 64, 100*time.Millisecond
			}
			o := Run(s, costs)
			t.Logf("%3d nodes of a core, %6d ranges, sequencer's node relieved %5v: %v", c.nodes, c.ranges, relieved, o)
			if o.PutsPerSecond <= 0 || o.Root > 1.01 || o.Others > 1.01 || o.Asking > o.Root {
				t.Errorf("not possible: %+v", o)
			}
		}
	}
}

// compare calibrates the cost of a put with the smallest cluster and predicts
// the larger ones.
func compare(t *testing.T, costs *Costs) {
	b, err := os.ReadFile(*scaleout)
	if err != nil {
		t.Fatal(err)
	}
	var m measured
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	calibrated := 0
	for _, p := range m.Points {
		if p.System != "pontoon" {
			continue
		}
		s := setup(p.Nodes, m.Setup.Ranges, m.Setup.CPU)
		s.Writers, s.For = m.Setup.Clients/p.Nodes, 20*time.Second
		if calibrated == 0 {
			calibrated = p.Nodes
			costs.Put = time.Duration(p.CPUMicros * 1e3)
			costs.Peer = p.IdleCores / float64(max(1, p.Nodes-1))
			o := Run(s, *costs) // what of it were asks
			costs.Put -= time.Duration(2 * float64(costs.Ask) * o.AsksPerSecond / o.PutsPerSecond)
		}
		o := Run(s, *costs)
		t.Logf("%2d nodes of %.2f cores: measured %6.0f puts/s, predicted %6.0f (%.2f of it)", p.Nodes, m.Setup.CPU, p.PerSecond, o.PutsPerSecond, p.PerSecond/o.PutsPerSecond)
		t.Logf("   %v", o)
	}
	if calibrated == 0 {
		t.Fatalf("%s has no point of pontoon", *scaleout)
	}
}
