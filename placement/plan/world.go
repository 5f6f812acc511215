package plan

import (
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// standing is what the plan makes of a node.
type standing uint8

const (
	fine     standing = iota // keeps what it has
	dead                     // does not answer for too long
	leaving                  // drains, or is a learner member
	removed                  // for good
	stranger                 // has no record: its ranges are left alone
)

// node is a node with the figures of the plan: those of the ranges, running
// operators anticipated.
type node struct {
	*Node
	id       proto.NodeID
	name     string
	standing standing
	target   bool // may get replicas (I2)
	leads    bool // may get leaderships
	moves    int  // in flight (I5)
	handing  int  // leadership transfers in flight
	leaders  int  // ranges led
	replicas int
	weight   float64 // bytes held, and something for each replica
	load     float64 // requests per second led
	young    bool    // leads ranges that were just moved: load is not right yet
}

// member is a replica of a range.
type member struct {
	node int32
	role pontoonpb.ReplicaRole
}

// ranged is a range with what the plan needs at hand.
type ranged struct {
	*Range
	id      proto.RangeID
	members []member
	leader  int32 // -1: not known
	rest    operator.Rest
	busy    bool // an operator runs or was planned, or raft is between two configurations
	issue   issue
}

// none is no node.
const none = int32(-1)

const (
	// replicaWeight is what a replica weighs apart from its bytes, so that
	// empty ones are spread too.
	replicaWeight = 1 << 20
	// fullShare of a disk free or less: the node gets no replicas.
	fullShare = 0.05
)

// planner makes one plan.
type planner struct {
	view    *View
	now     time.Time
	nodes   []node
	index   map[proto.NodeID]int32
	running map[proto.RangeID]*ranged // of running operators
	ranges  []ranged
	holders int // nodes that should hold replicas
	shared  []uint8
	ideal   []int // least penalty of so many replicas
	ops     []*operator.Operator
	result  Result
	merging int       // merges in flight
	gap     int       // of leader counts that is acted upon
	held    [][]int32 // ranges by node that holds them, once needed
}

func newPlanner(v *View) *planner {
	p := &planner{view: v, now: v.Now, index: make(map[proto.NodeID]int32, len(v.Nodes)),
		running: map[proto.RangeID]*ranged{}}
	p.nodes = make([]node, 0, len(v.Nodes))
	for i := range v.Nodes {
		p.addNode(&v.Nodes[i])
	}
	for _, o := range v.Running {
		for _, id := range o.Ranges() {
			p.running[id] = nil
		}
	}
	p.addRanges()
	p.shareTiers()
	for _, o := range v.Running {
		p.anticipate(o)
	}
	return p
}

func (p *planner) addNode(n *Node) {
	x := node{Node: n, id: proto.NodeID(n.Record.NodeId), name: Name(n.Record)}
	x.standing = p.standingOf(n)
	full := n.DiskTotal > 0 && float64(n.DiskFree) < fullShare*float64(n.DiskTotal)
	x.target = x.standing == fine && n.Live && !full
	x.leads = x.standing == fine && n.Live && !n.Stopping
	if n.Record.State == pontoonpb.NodeState_NODE_ACTIVE && !n.Record.Learner {
		p.holders++
	}
	p.index[x.id] = int32(len(p.nodes))
	p.nodes = append(p.nodes, x)
}

func (p *planner) standingOf(n *Node) standing {
	limit := time.Duration(p.view.Settings.DeadAfterSeconds) * time.Second
	switch {
	case n.Record.State == pontoonpb.NodeState_NODE_REMOVED:
		return removed
	case !n.Live && p.now.Sub(n.Down) >= limit:
		return dead
	case n.Record.State == pontoonpb.NodeState_NODE_DRAINING, n.Record.Learner:
		return leaving
	}
	return fine
}

func (p *planner) addRanges() {
	p.ranges = make([]ranged, len(p.view.Ranges))
	total := 0
	for i := range p.view.Ranges {
		total += len(p.view.Ranges[i].Status.Desc.Replicas)
	}
	members := make([]member, 0, total)
	for i := range p.ranges {
		r := &p.ranges[i]
		r.Range = &p.view.Ranges[i]
		st := r.Status
		r.id, r.leader = proto.RangeID(st.Desc.RangeId), none
		r.rest = p.view.Rests[r.id]
		if _, runs := p.running[r.id]; runs {
			p.running[r.id] = r
		}
		if st.LeaderNode != 0 {
			r.leader = p.nodeIndex(proto.NodeID(st.LeaderNode))
		}
		first := len(members)
		for _, rep := range st.Desc.Replicas {
			n := p.nodeIndex(proto.NodeID(rep.NodeId))
			members = append(members, member{n, rep.Role})
			p.nodes[n].hold(r, 1)
			r.busy = r.busy || rep.Role > pontoonpb.ReplicaRole_REPLICA_LEARNER || p.nodes[n].standing == stranger
		}
		r.members = members[first:len(members):len(members)]
		r.busy = r.busy || r.leader == none || st.Frozen
		if r.leader != none {
			l := &p.nodes[r.leader]
			l.leaders++
			l.load += cost(st.Load)
			l.young = l.young || r.rest.Resting(operator.Settle, p.now)
		}
	}
}

// nodeIndex returns the index of a node, adding one without a record.
func (p *planner) nodeIndex(id proto.NodeID) int32 {
	if i, ok := p.index[id]; ok {
		return i
	}
	n := &Node{Record: &pontoonpb.NodeRecord{NodeId: uint64(id)}}
	p.index[id] = int32(len(p.nodes))
	p.nodes = append(p.nodes, node{Node: n, id: id, name: Name(n.Record), standing: stranger})
	return p.index[id]
}

// weight is what a replica of the range adds to its node.
func (r *ranged) weight() float64 { return float64(max(0, r.Status.SizeBytes)) + replicaWeight }

// hold counts a replica of the range in or out.
func (n *node) hold(r *ranged, by int) {
	n.replicas += by
	n.weight += float64(by) * r.weight()
}

// holds says how much a node holds.
func (n *node) holds() string {
	return fmt.Sprintf("%d replicas of %s", n.replicas, human(n.weight-replicaWeight*float64(n.replicas)))
}

// find returns a range by id, nil if it is not in the view.
func (p *planner) find(id proto.RangeID) *ranged {
	for i := range p.ranges {
		if p.ranges[i].id == id {
			return &p.ranges[i]
		}
	}
	return nil
}

// anticipate counts an operator as if it were done, and as in flight.
func (p *planner) anticipate(o *operator.Operator) {
	for _, id := range o.Ranges() {
		r := p.running[id]
		if r == nil {
			continue
		}
		r.busy = true
		for _, s := range o.Steps {
			if s.Range == id {
				p.anticipateStep(r, s)
			}
		}
	}
	if o.Kind.Class() == operator.Merge {
		p.merging++
	}
}

func (p *planner) anticipateStep(r *ranged, s operator.Step) {
	i, known := p.index[s.Node]
	if !known {
		return // the step is about no node
	}
	n := &p.nodes[i]
	switch s.Kind {
	case operator.AddLearner:
		if !r.on(i) {
			n.hold(r, 1)
		}
	case operator.WaitCaughtUp:
		n.moves++
		if r.leader != none {
			p.nodes[r.leader].moves++
		}
	case operator.RemoveLearner:
		if r.on(i) {
			n.hold(r, -1)
		}
	case operator.TransferLeader:
		p.lead(r, i)
	case operator.LeaveLeader:
		if r.leader == i {
			n.handing++
		}
	}
}

// lead counts a range as led by another node.
func (p *planner) lead(r *ranged, to int32) {
	if r.leader == none || r.leader == to {
		return
	}
	from, next := &p.nodes[r.leader], &p.nodes[to]
	from.leaders--
	next.leaders++
	from.load -= cost(r.Status.Load)
	next.load += cost(r.Status.Load)
	from.handing++
	r.leader = to
}

// on reports whether the node has a replica.
func (r *ranged) on(n int32) bool {
	for _, m := range r.members {
		if m.node == n {
			return true
		}
	}
	return false
}

// voters counts the replicas that vote.
func (r *ranged) voters() int {
	n := 0
	for _, m := range r.members {
		if m.role == pontoonpb.ReplicaRole_REPLICA_VOTER {
			n++
		}
	}
	return n
}

// votes reports whether the node's replica votes.
func (r *ranged) votes(n int32) bool {
	for _, m := range r.members {
		if m.node == n && m.role == pontoonpb.ReplicaRole_REPLICA_VOTER {
			return true
		}
	}
	return false
}

// want returns how many replicas a range should have: the factor, or as many
// as there are nodes. Four survive no more failures than three, so of an even
// number one is left out; but of two nodes both hold the data, since losing
// what was acknowledged is worse than waiting for a node to come back.
func (p *planner) want(r *ranged) int {
	factor := int(p.view.Settings.ReplicationFactor)
	if r.id == proto.RootRange {
		factor = int(p.view.Settings.RootReplicationFactor)
	}
	if p.holders == 0 {
		return r.voters() // there is nowhere to go
	}
	n := min(factor, p.holders)
	if n%2 == 0 && n > 2 {
		n--
	}
	return n
}
