package simulation

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Node is a node of the model.
type Node struct {
	Record *pontoonpb.NodeRecord
	Live   bool
	// Stopping: it said that it stops.
	Stopping bool
	Down     time.Time
}

// Range is a range of the model. Its status is what its leader would report.
type Range struct {
	Status  *pontoonpb.RangeStatus
	Changed time.Time
	// Requests per second, evenly over the span unless OneKey.
	Requests float64
	OneKey   bool
	copies   map[uint64]time.Time // learners by node, since when data flows
}

// Cluster is nodes and ranges.
type Cluster struct {
	Now      time.Time
	Settings *pontoonpb.Settings // as they were set
	Nodes    []*Node             // by id
	Ranges   []*Range            // by start key

	byNode map[uint64]*Node
	byID   map[uint64]*Range
	nextID uint64
	// Moved counts replicas that got their data, Broken what should never be.
	Moved  int
	Broken []string
}

// NewCluster returns a cluster of no ranges with nodes 1 to n.
func NewCluster(n int) *Cluster {
	c := &Cluster{
		Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Settings: &pontoonpb.Settings{},
		byNode: map[uint64]*Node{}, byID: map[uint64]*Range{}, nextID: 1,
	}
	for range n {
		c.Join()
	}
	return c
}

// Join adds a node with the next id.
func (c *Cluster) Join(locality ...*pontoonpb.LocalityTier) *Node {
	id := uint64(len(c.Nodes) + 1)
	n := &Node{Record: &pontoonpb.NodeRecord{NodeId: id, Name: fmt.Sprintf("n%d", id), Locality: locality}, Live: true}
	c.Nodes = append(c.Nodes, n)
	c.byNode[id] = n
	return n
}

// Fill creates the root range, the lease range and so many user ranges of a
// size, each with replicas on the nodes that on returns, the first leading.
func (c *Cluster) Fill(user int, size int64, on func(i int) []uint64) {
	c.add(keys.MetaSpan, 1<<20, on(0))
	c.add(keys.LeaseSpan, 1<<20, on(1))
	for i := range user {
		span := proto.Span{Start: keys.UserSpan.Start, End: keys.UserSpan.End}
		if i > 0 {
			span.Start = position(uint64(i) * (1 << 63 / uint64(user)))
		}
		if i < user-1 {
			span.End = position(uint64(i+1) * (1 << 63 / uint64(user)))
		}
		c.add(span, size, on(i+2))
	}
}

func position(n uint64) []byte { return keys.User(binary.BigEndian.AppendUint64(nil, n)) }

func (c *Cluster) add(span proto.Span, size int64, nodes []uint64) *Range {
	d := &pontoonpb.Descriptor{RangeId: c.NextID(), Span: span.Wire(), Generation: 1, NextReplicaId: 1}
	r := &Range{
		Status: &pontoonpb.RangeStatus{
			Desc: d, LeaderNode: nodes[0], Term: 1, LastIndex: 100, SizeBytes: size, Load: &pontoonpb.RangeLoad{}},
		Changed: c.Now, copies: map[uint64]time.Time{},
	}
	for _, n := range nodes {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: n, ReplicaId: d.NextReplicaId})
		d.NextReplicaId++
	}
	c.insert(r)
	return r
}

func (c *Cluster) insert(r *Range) {
	at, _ := slices.BinarySearchFunc(c.Ranges, r, byStart)
	c.Ranges = slices.Insert(c.Ranges, at, r)
	c.byID[r.Status.Desc.RangeId] = r
}

func byStart(a, b *Range) int {
	return bytes.Compare(a.Status.Desc.Span.Start, b.Status.Desc.Span.Start)
}

// NextID allocates a range id.
func (c *Cluster) NextID() uint64 {
	c.nextID++
	return c.nextID - 1
}

// Range returns a range by id, nil if there is none.
func (c *Cluster) Range(id proto.RangeID) *Range { return c.byID[uint64(id)] }

// Kill takes a node away; the ranges it led are led by others at once, if they
// have a quorum.
func (c *Cluster) Kill(id uint64) {
	c.byNode[id].Live, c.byNode[id].Down = false, c.Now
	for _, r := range c.Ranges {
		if r.Status.LeaderNode == id || !c.quorum(r.Status.Desc.Replicas) {
			c.elect(r)
		}
	}
}

// elect makes a live voter lead, if there is a quorum.
func (c *Cluster) elect(r *Range) {
	r.Status.LeaderNode = 0
	r.Status.Term++
	if !c.quorum(r.Status.Desc.Replicas) {
		return
	}
	for _, rep := range r.Status.Desc.Replicas {
		if rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER && c.byNode[rep.NodeId].Live {
			r.Status.LeaderNode = rep.NodeId
			return
		}
	}
}

func (c *Cluster) quorum(replicas []*pontoonpb.Replica) bool {
	voters, live := 0, 0
	for _, rep := range replicas {
		if rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER {
			voters++
			if c.byNode[rep.NodeId].Live {
				live++
			}
		}
	}
	return live > voters/2
}

// Status is what the leader of a range says, nil if it has none.
func (c *Cluster) Status(id proto.RangeID) *pontoonpb.RangeStatus {
	r := c.Range(id)
	if r == nil || r.Status.LeaderNode == 0 {
		return nil
	}
	r.Status.Progress = r.Status.Progress[:0]
	for _, rep := range r.Status.Desc.Replicas {
		p := &pontoonpb.ReplicaProgress{
			ReplicaId: rep.ReplicaId, NodeId: rep.NodeId, Match: r.Status.LastIndex, Active: c.byNode[rep.NodeId].Live}
		if since, copying := r.copies[rep.NodeId]; copying {
			p.SnapshotTotal = r.Status.SizeBytes
			p.SnapshotBytes = min(c.copied(since), r.Status.SizeBytes)
			p.Snapshot = p.SnapshotBytes < p.SnapshotTotal
		}
		r.Status.Progress = append(r.Status.Progress, p)
	}
	return r.Status
}

func (c *Cluster) copied(since time.Time) int64 {
	rate := c.Settings.SnapshotBytesPerSecond
	if rate == 0 {
		rate = 64 << 20
	}
	return int64(float64(rate) * c.Now.Sub(since).Seconds())
}

// capacity is how many requests per second keep a worker busy.
const capacity = 4000

// SetLoad sets the load of a range.
func (r *Range) SetLoad(requests float64) {
	r.Requests = requests
	r.Status.Load = &pontoonpb.RangeLoad{WritesPerSecond: requests, Busy: min(1, requests/capacity)}
}

// Check returns what is broken (I1 to I3).
func (c *Cluster) Check() []string {
	next := keys.MetaSpan.Start
	for _, r := range c.Ranges {
		d := r.Status.Desc
		if !bytes.Equal(d.Span.Start, next) {
			c.broken(r, "does not start where the one before ends")
		}
		next = d.Span.End
		nodes := map[uint64]bool{}
		for _, rep := range d.Replicas {
			if nodes[rep.NodeId] {
				c.broken(r, "has two replicas on a node")
			}
			nodes[rep.NodeId] = true
		}
		if r.Status.LeaderNode == 0 {
			c.broken(r, "has no leader")
		}
	}
	return c.Broken
}

func (c *Cluster) broken(r *Range, what string) {
	c.Broken = append(c.Broken, fmt.Sprintf("range %d %s: %v", r.Status.Desc.RangeId, what, r.Status.Desc.Replicas))
}

// Spread says how evenly something is spread over the live nodes.
type Spread struct{ Min, Mean, Max float64 }

// String writes the three.
func (s Spread) String() string { return fmt.Sprintf("%.4g..%.4g..%.4g", s.Min, s.Mean, s.Max) }

// Leaders per node.
func (c *Cluster) Leaders() Spread {
	return c.spread(func(r *Range, n uint64) float64 { return is(r.Status.LeaderNode == n) })
}

// Replicas per node.
func (c *Cluster) Replicas() Spread {
	return c.spread(func(*Range, uint64) float64 { return 1 })
}

// Bytes per node.
func (c *Cluster) Bytes() Spread {
	return c.spread(func(r *Range, _ uint64) float64 { return float64(r.Status.SizeBytes) })
}

// Load per node, of what it leads.
func (c *Cluster) Load() Spread {
	return c.spread(func(r *Range, n uint64) float64 { return r.Requests * is(r.Status.LeaderNode == n) })
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *Cluster) spread(figure func(*Range, uint64) float64) Spread {
	sums := map[uint64]float64{}
	for _, n := range c.Nodes {
		if n.Live && n.Record.State == pontoonpb.NodeState_NODE_ACTIVE {
			sums[n.Record.NodeId] = 0
		}
	}
	for _, r := range c.Ranges {
		for _, rep := range r.Status.Desc.Replicas {
			if _, counts := sums[rep.NodeId]; counts {
				sums[rep.NodeId] += figure(r, rep.NodeId)
			}
		}
	}
	var list []float64
	s := Spread{}
	for _, v := range sums {
		list = append(list, v)
	}
	slices.SortFunc(list, cmp.Compare)
	for _, v := range list {
		s.Mean += v / float64(len(list))
	}
	s.Min, s.Max = list[0], list[len(list)-1]
	return s
}

// On counts the replicas on a node.
func (c *Cluster) On(id uint64) int {
	n := 0
	for _, r := range c.Ranges {
		for _, rep := range r.Status.Desc.Replicas {
			if rep.NodeId == id {
				n++
			}
		}
	}
	return n
}
