package saturation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Costs are CPU times.
type Costs struct {
	// Put is what one put takes on all nodes together, without asking for its
	// number.
	Put time.Duration
	// Ask is what one message to the sequencer, and its reply, takes on either
	// side.
	Ask time.Duration
	// Report is what one range takes, each round of placement, on the node that
	// reports it; Plan what it takes on the node that plans.
	Report, Plan time.Duration
	// Peer is the share of a core that a node spends on each other one while
	// nobody asks anything.
	Peer float64
}

// Setup is a cluster and who writes.
type Setup struct {
	Nodes   int
	Ranges  int
	Cores   float64 // of each node
	Writers int     // per node, each with one put in flight
	Delay   time.Duration
	// Relieved: the sequencer's node leads nothing else and is nobody's gateway.
	Relieved bool
	For      time.Duration // of virtual time, half of it to warm up
	Seed     uint64
}

// Outcome is what came of it. Shares are of a node's CPU.
type Outcome struct {
	PutsPerSecond float64
	AsksPerSecond float64
	Asking        float64 // of the sequencer's node, by asks
	Placing       float64 // of it, by placement
	Root          float64 // of it, by everything
	Others        float64 // mean of the others
}

// Bound names what is busy.
func (o Outcome) Bound() string {
	const full, even = 0.95, 0.9 // chance leaves nodes without work for moments
	switch {
	case o.Others >= even:
		return "all nodes"
	case o.Root >= full:
		return "the sequencer's node"
	}
	return "the writers"
}

// String writes a row of a table.
func (o Outcome) String() string {
	folded := 0.0
	if o.AsksPerSecond > 0 {
		folded = o.PutsPerSecond / o.AsksPerSecond
	}
	return fmt.Sprintf("%9.0f puts/s, %5.1f in a message; sequencer's node %3.0f %% busy (asks %.0f, placement %.1f), others %3.0f %%: %s bound",
		o.PutsPerSecond, folded, o.Root*100, o.Asking*100, o.Placing*100, o.Others*100, o.Bound())
}

// The driver of placement rests so long between rounds that they take a fiftieth
// of the time, at least a second, at most ten (package driver).
func roundEvery(took time.Duration) time.Duration {
	return min(max(time.Second, 50*took), 10*time.Second)
}

// node is a node's CPU and its asks.
type node struct {
	free    time.Duration // when it has done what was given to it
	used    time.Duration
	asked   time.Duration // of used, for asks
	rate    float64       // cores left beside what goes on anyway
	waiting []func()      // puts that wait for numbers
	flying  int           // messages unanswered
	number  uint64        // of the last message
}

type model struct {
	Setup
	costs   Costs
	rng     *rand.Rand
	now     time.Duration
	events  events
	nodes   []node
	kernel  sequencer.Kernel
	ticket  sequencer.Ticket
	granted map[sequencer.Ticket]func(*pontoonpb.SequenceReply)
	asks    int
	puts    int
	last    int64 // highest number granted
}

// root is the node of the sequencer.
const root = 0

// Run lets a cluster write. It panics if a number is granted twice (I1).
func Run(s Setup, c Costs) Outcome {
	m := &model{Setup: s, costs: c, rng: rand.New(rand.NewPCG(s.Seed, 1)), nodes: make([]node, s.Nodes)}
	took := time.Duration(s.Ranges) * c.Plan
	every := roundEvery(time.Duration(float64(took) / s.Cores))
	placing := took.Seconds() / every.Seconds()
	for i := range m.nodes {
		reporting := (c.Report * time.Duration(s.Ranges) / time.Duration(s.Nodes)).Seconds() / every.Seconds()
		m.nodes[i].rate = s.Cores - reporting - c.Peer*float64(s.Nodes-1)
	}
	m.nodes[root].rate -= placing
	for i := range m.nodes {
		m.nodes[i].rate = max(m.nodes[i].rate, s.Cores/1000)
	}
	m.lead()
	for i := range m.nodes {
		for range s.Writers {
			m.put(i)
		}
	}
	m.until(s.For / 2)
	for i := range m.nodes {
		m.nodes[i].used, m.nodes[i].asked = 0, 0
	}
	m.puts, m.asks = 0, 0
	m.until(s.For)
	return m.outcome(placing)
}

func (m *model) outcome(placing float64) Outcome {
	window := (m.For - m.For/2).Seconds()
	share := func(n *node, d time.Duration) float64 { return d.Seconds() / window / m.Cores }
	o := Outcome{PutsPerSecond: float64(m.puts) / window, AsksPerSecond: float64(m.asks) / window, Placing: placing / m.Cores}
	for i := range m.nodes {
		n := &m.nodes[i]
		busy := share(n, n.used) + (m.Cores-n.rate)/m.Cores
		if i == root {
			o.Root, o.Asking = busy, share(n, n.asked)
		} else {
			o.Others += busy / float64(m.Nodes-1)
		}
	}
	return o
}

// work gives a node something to do; then follows when it is done (I2).
func (m *model) work(at int, cost time.Duration, then func()) {
	n := &m.nodes[at]
	start := max(m.now, n.free)
	n.free = start + time.Duration(float64(cost)/n.rate)
	m.at(n.free, func() {
		n.used += cost
		then()
	})
}
