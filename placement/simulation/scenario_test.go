package simulation

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	manyNodes  = 100
	manyRanges = 10_000
	rangeSize  = 80 << 20
	still      = 6 * time.Hour
)

// scattered puts the replicas of each range on three nodes by chance.
func scattered(nodes int, rng *rand.Rand) func(int) []uint64 {
	return func(int) []uint64 {
		var list []uint64
		for len(list) < 3 {
			if n := uint64(rng.IntN(nodes) + 1); !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
		return list
	}
}

// settle runs until the cluster is at rest, reports, and checks that nothing
// broke, nothing failed and nothing moves for hours then.
func settle(t *testing.T, what string, r *Run) time.Duration {
	t.Helper()
	clear(r.Planned)
	clear(r.Ended)
	r.Moved = 0
	took, rested := r.Settle(10*time.Minute, 5000)
	planned, ended := fmt.Sprint(r.Planned), fmt.Sprint(r.Ended)
	leaders, replicas, load, bytes := r.Leaders(), r.Replicas(), r.Load(), r.Bytes()
	t.Logf("%s: at rest after %v; %d replicas moved; %s %s", what, took.Round(time.Second), r.Moved, planned, ended)
	t.Logf("  leaders %s, replicas %s, req/s %s, GiB %s", leaders, replicas, load, Spread{bytes.Min / (1 << 30), bytes.Mean / (1 << 30), bytes.Max / (1 << 30)})
	if broken := r.Check(); len(broken) > 0 {
		t.Fatalf("%d broken, first: %s", len(broken), broken[0])
	}
	if n := r.Ended[operator.Failed] + r.Ended[operator.TimedOut]; n > 0 {
		t.Errorf("%d operators failed", n)
	}
	if n := r.Watch(still); !rested || n > 0 {
		t.Errorf("rested %v, then %d operators in %v: %v", rested, n, still, r.Last.Operators)
	}
	if leaders.Max > max(1.3*leaders.Min, leaders.Min+1) || bytes.Max > 1.3*bytes.Min {
		t.Error("uneven")
	}
	return took
}

func TestGrowFromThreeToHundred(t *testing.T) {
	c := NewCluster(3)
	c.Settings.MovesPerNode = 64
	c.Fill(manyRanges, rangeSize, func(i int) []uint64 {
		return []uint64{uint64(1 + i%3), uint64(1 + (i+1)%3), uint64(1 + (i+2)%3)}
	})
	for len(c.Nodes) < manyNodes {
		c.Join()
	}
	r := NewRun(c)
	r.Busy = 10 * time.Second
	settle(t, "97 nodes join 3", r)
	if r.Moved > 29_500 { // 97 % of 30,000 have to
		t.Errorf("%d replicas moved", r.Moved)
	}
}

func TestDeathAndDrain(t *testing.T) {
	c := NewCluster(manyNodes)
	c.Fill(manyRanges, rangeSize, scattered(manyNodes, rand.New(rand.NewPCG(1, 1))))
	r := NewRun(c)
	settle(t, "scattered by chance", r)

	held := c.On(7)
	c.Kill(7)
	settle(t, "a node dies", r)
	if r.Last.UnderReplicated > 0 || c.On(7) > 0 || r.Moved > 2*held {
		t.Errorf("%d under-replicated, %d left, %d moved of %d", r.Last.UnderReplicated, c.On(7), r.Moved, held)
	}

	held = c.On(42)
	c.Nodes[41].Record.State = pontoonpb.NodeState_NODE_DRAINING
	settle(t, "a node drains", r)
	if c.On(42) > 0 || r.Moved > 2*held || r.Planned[operator.DrainLeader] == 0 {
		t.Errorf("%d left, %d moved of %d", c.On(42), r.Moved, held)
	}
}

func TestHotRanges(t *testing.T) {
	const total, skew = 120_000.0, 1.1
	rng := rand.New(rand.NewPCG(2, 2))
	c := NewCluster(manyNodes)
	c.Fill(manyRanges, rangeSize, scattered(manyNodes, rng))
	sum := 0.0
	for i := range manyRanges {
		sum += 1 / math.Pow(float64(i+1), skew)
	}
	for i, at := range rng.Perm(manyRanges) {
		c.Ranges[at+2].SetLoad(total / sum / math.Pow(float64(i+1), skew))
	}
	r := NewRun(c)
	before := c.Load()
	settle(t, "zipf load", r)
	load := c.Load()
	t.Logf("  hottest node %.0f req/s, was %.0f", load.Max, before.Max)
	hottest := 0.0
	for _, g := range c.Ranges {
		hottest = max(hottest, g.Requests)
	}
	// A range that is not busy enough to be split is on one node, with that
	// node's share of all the others.
	if r.Planned[operator.SplitLoad] == 0 || load.Max > max(1.4*load.Mean, hottest+0.6*load.Mean) {
		t.Errorf("load %s, hottest range %.0f", load, hottest)
	}
	ranges := len(c.Ranges)
	for _, g := range c.Ranges {
		g.SetLoad(0)
	}
	settle(t, "the load ends", r)
	if r.Planned[operator.MergeCold] == 0 || len(c.Ranges) >= ranges {
		t.Errorf("%d ranges of %d", len(c.Ranges), ranges)
	}
}

func TestZones(t *testing.T) {
	c := NewCluster(manyNodes)
	for i, n := range c.Nodes {
		n.Record.Locality = []*pontoonpb.LocalityTier{
			{Key: "region", Value: "r"}, {Key: "zone", Value: string(rune('a' + i%3))}, {Key: "rack", Value: fmt.Sprint(i % 10)}}
	}
	c.Settings.MovesPerNode = 16
	c.Fill(manyRanges, rangeSize, scattered(manyNodes, rand.New(rand.NewPCG(3, 3))))
	r := NewRun(c)
	settle(t, "three zones", r)
	for _, g := range c.Ranges {
		zones := map[string]bool{}
		for _, rep := range g.Status.Desc.Replicas {
			zones[c.byNode[rep.NodeId].Record.Locality[1].Value] = true
		}
		if len(zones) != 3 {
			t.Fatalf("range %d is in %d zones", g.Status.Desc.RangeId, len(zones))
		}
	}
}

// A cluster as small as a demo evens out, too, and within a minute.
func TestDemoSize(t *testing.T) {
	c := NewCluster(3)
	c.Fill(30, 40<<20, func(int) []uint64 { return []uint64{1, 2, 3} })
	r := NewRun(c)
	r.Busy, r.Idle = time.Second, time.Second
	c.Join()
	c.Join()
	if took := settle(t, "two nodes join 3", r); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// One seed, one history.
func TestDeterministic(t *testing.T) {
	history := func(seed uint64) uint64 {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := NewCluster(12)
		c.Fill(150, rangeSize, scattered(9, rng))
		for _, g := range c.Ranges[2:] {
			g.SetLoad(rng.Float64() * 3000)
		}
		r, h := NewRun(c), fnv.New64a()
		r.Trace = func(o *operator.Operator) { fmt.Fprintln(h, r.Now, o.ID, o.Range, o.Kind, o.Reason, o.Steps) }
		r.Settle(5*time.Minute, 500)
		c.Kill(3)
		r.Settle(10*time.Minute, 500)
		return h.Sum64()
	}
	if history(1) != history(1) || history(1) == history(2) {
		t.Error("histories of one seed differ, or those of two do not")
	}
}
