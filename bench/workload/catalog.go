package workload

import (
	"fmt"
	"slices"
)

// Sizes of the catalogue.
const (
	keys      = 10_000
	scanKeys  = 100_000
	ranges    = 16
	valueSize = 256
)

// The keys of most groups, for whoever splits among them.
const (
	KVPrefix = Prefix + kvName + "/"
	KVKeys   = keys

	kvName = "kv"
)

// Catalog returns all groups; quick: fewer workloads and smaller ones, for a
// first look in minutes.
func Catalog(quick bool) []Group {
	groups := []Group{kvGroup(quick), largeGroup(quick), oneGroup(quick), txnGroup(quick), leaseGroup(), scanGroup(), watchGroup(quick),
		kubeGroup(quick), elasticGroup(), compactGroup(quick)}
	return groups
}

func kvGroup(quick bool) Group {
	k := newKeyspace(kvName, keys)
	g := Group{Name: "kv", About: "10,000 keys of 256 B in 16 ranges", Nodes: 3, Splits: k.splits(ranges), Fill: k.fill(valueSize)}
	sizes := []int{64, 256}
	if quick {
		sizes = []int{256}
	}
	for _, size := range sizes {
		for _, n := range []int{1, 64, 512, 1000} {
			g.Workloads = append(g.Workloads, put(k, uniform, size, n))
		}
	}
	reads, skewed := []int{1, 64, 512}, []int{64, 512}
	if quick {
		reads, skewed = []int{64, 512}, []int{512}
	}
	for _, how := range []choice{zipf, hot} {
		for _, n := range skewed {
			g.Workloads = append(g.Workloads, put(k, how, valueSize, n))
		}
	}
	for _, serializable := range []bool{false, true} {
		for _, n := range reads {
			g.Workloads = append(g.Workloads, get(k, serializable, n))
		}
	}
	return g
}

// largeGroup has puts of large values on clusters of its own, so that what they
// leave to be compacted is not counted for small ones.
func largeGroup(quick bool) Group {
	k := newKeyspace(kvName, keys)
	sizes, clients := []int{4096, 16384}, []int{1, 64, 512, 1000}
	if quick {
		sizes, clients = []int{16384}, []int{64}
	}
	g := Group{Name: "large", About: "as kv", Nodes: 3, Splits: k.splits(ranges), Fill: k.fill(valueSize)}
	for _, size := range sizes {
		for _, n := range clients {
			g.Workloads = append(g.Workloads, put(k, uniform, size, n))
		}
	}
	return g
}

// oneGroup is clusters of one node each.
func oneGroup(quick bool) Group {
	k := newKeyspace(kvName, keys)
	clients := []int{1, 64, 512, 1000}
	if quick {
		clients = []int{512, 1000}
	}
	g := Group{Name: "one", About: "as kv, but one node", Nodes: 1, Splits: k.splits(ranges), Fill: k.fill(valueSize)}
	for _, n := range clients {
		g.Workloads = append(g.Workloads, onOneNode(put(k, uniform, valueSize, n)))
	}
	if !quick {
		g.Workloads = append(g.Workloads, onOneNode(get(k, false, 64)), onOneNode(get(k, false, 512)))
	}
	return g
}

func onOneNode(w Workload) Workload {
	w.Name = "one-node/" + w.Name
	return w
}

func txnGroup(quick bool) Group {
	k := newKeyspace(kvName, keys)
	g := Group{Name: "txn", About: "as kv", Nodes: 3, Splits: k.splits(ranges), Fill: k.fill(valueSize),
		Workloads: []Workload{cas(k, valueSize, 64), cas(k, valueSize, 512), cross(k, valueSize, 64), deletePrefix(valueSize, 8)}}
	if !quick {
		g.Workloads = append(g.Workloads, cross(k, valueSize, 512))
	}
	return g
}

func leaseGroup() Group {
	k := newKeyspace(kvName, keys)
	return Group{Name: "lease", About: "as kv", Nodes: 3, Splits: k.splits(ranges), Fill: k.fill(valueSize),
		Workloads: []Workload{grant(64), keepalive(64), revoke(k, valueSize, 64), attach(k, valueSize, 64)}}
}

func scanGroup() Group {
	k := newKeyspace("scan", scanKeys)
	return Group{Name: "scan", About: "100,000 keys of 256 B in 16 ranges, read only", Nodes: 3, Keep: true,
		Splits: k.splits(ranges), Fill: k.fill(valueSize),
		Workloads: []Workload{scan(k, 100, 64), scan(k, 10_000, 8), list(k, 2), count(k, 16)}}
}

func watchGroup(quick bool) Group {
	p, k := newProbe("fresh", 8), newKeyspace(kvName, keys)
	watchers := []int{1, 100, 1000, 10_000}
	if quick {
		watchers = []int{100, 1000}
	}
	splits := slices.Concat(p.SplitKeys(), k.splits(ranges))
	g := Group{Name: "watch", About: "a prefix over 8 ranges for latencies; 16 ranges as in kv", Nodes: 3, Splits: splits, Fill: k.fill(valueSize),
		Workloads: []Workload{watchLatency(p), consistentList(p)}}
	for _, n := range watchers {
		g.Workloads = append(g.Workloads, fanout(k, valueSize, n))
	}
	return g
}

func elasticGroup() Group {
	k := newKeyspace(kvName, keys)
	return Group{Name: "elastic", About: "as kv, but four nodes: three replicas of each range, so that they can move; etcd has four members", Nodes: 4,
		Splits: k.splits(ranges), Fill: k.fill(valueSize), Workloads: []Workload{elastic(k, valueSize, 64)}}
}

func compactGroup(quick bool) Group {
	k := newKeyspace(kvName, keys)
	g := Group{Name: "compact", About: "as kv, overwritten many times", Nodes: 3, Splits: k.splits(ranges), Fill: k.fill(valueSize),
		Rounds: 2, Workloads: []Workload{compaction(k, 1_000_000, valueSize, 64), defragmentation(k, valueSize, 64)}}
	if quick {
		g.Workloads[0] = compaction(k, 50_000, valueSize, 64)
	}
	return g
}

// Shape is a group of puts and gets of somebody's choice.
type Shape struct {
	Nodes, Ranges, Keys, ValueSize int
	Clients                        []int
}

// PutsAndGets makes that group: a put and a linearizable get for each number of
// clients.
func PutsAndGets(s Shape) (Group, error) {
	for _, n := range append([]int{s.Nodes, s.Ranges, s.ValueSize}, s.Clients...) {
		if n < 1 {
			return Group{}, fmt.Errorf("counts and sizes must be positive")
		}
	}
	if s.Keys < s.Ranges {
		return Group{}, fmt.Errorf("%d keys cannot fill %d ranges", s.Keys, s.Ranges)
	}
	if s.ValueSize >= textSize {
		return Group{}, fmt.Errorf("a value of %d bytes is too long", s.ValueSize)
	}
	k := newKeyspace(kvName, s.Keys)
	g := Group{Name: "compare", About: fmt.Sprintf("%d keys of %d B in %d ranges", s.Keys, s.ValueSize, s.Ranges), Nodes: s.Nodes,
		Splits: k.splits(s.Ranges), Fill: k.fill(s.ValueSize)}
	for _, n := range s.Clients {
		g.Workloads = append(g.Workloads, put(k, uniform, s.ValueSize, n), get(k, false, n))
	}
	return g, nil
}
