package plan

import (
	"fmt"
	"math"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// issue is what is wrong with the replicas of a range; the first that applies,
// in order of urgency.
type issue uint8

const (
	healthy issue = iota
	lost          // a replica is on a removed or dead node
	few           // fewer replicas than wanted
	drainLeader
	drain
	many // more replicas than wanted
	leftover
	scattered // replicas share failure domains
	issues
)

// classify finds what is wrong with a range.
func (p *planner) classify(r *ranged) issue {
	voters, want, gone, go_, learners := 0, p.want(r), 0, 0, 0
	for _, m := range r.members {
		if m.role == pontoonpb.ReplicaRole_REPLICA_LEARNER {
			learners++
			continue
		}
		voters++
		switch p.nodes[m.node].standing {
		case dead, removed:
			gone++
		case leaving:
			go_++
		}
	}
	if voters-gone < want {
		p.result.UnderReplicated++
	}
	switch {
	case r.busy:
		return healthy
	case gone > 0:
		return lost
	case voters < want:
		return few
	case r.leader != none && p.nodes[r.leader].standing == leaving && voters > 1:
		return drainLeader
	case go_ > 0:
		return drain
	case voters > want:
		return many
	case learners > 0:
		return leftover
	case p.ideal != nil && !p.view.Settings.BalanceOff && p.misplaced(r):
		return scattered
	}
	return healthy
}

// check classifies all ranges and plans repairs, the most urgent first and of
// the root range before others (I3).
func (p *planner) check() {
	var found [issues][]int32
	for i := range p.ranges {
		r := &p.ranges[i]
		if r.leader == none {
			p.result.WithoutLeader++
		}
		if r.issue = p.classify(r); r.issue == healthy {
			continue
		}
		if p.root(r) {
			p.repair(r)
			continue
		}
		found[r.issue] = append(found[r.issue], int32(i))
	}
	for is := lost; is < issues; is++ {
		for _, i := range found[is] {
			p.repair(&p.ranges[i])
		}
	}
}

// repair plans for one range what its issue asks for.
func (p *planner) repair(r *ranged) {
	class := operator.Repair
	if r.issue == scattered {
		class = operator.Balance
	}
	if r.rest.Resting(class, p.now) || !p.quorum(r) {
		return
	}
	switch r.issue {
	case lost:
		p.repairLost(r)
	case few:
		p.repairFew(r)
	case drainLeader:
		p.drainLeader(r)
	case drain:
		p.drain(r)
	case many:
		p.repairMany(r)
	case leftover:
		p.cleanUp(r)
	case scattered:
		p.spread(r)
	}
}

// repairLost replaces a replica whose node is gone.
func (p *planner) repairLost(r *ranged) {
	bad := none
	for _, m := range r.members {
		s := p.nodes[m.node].standing
		if m.role == pontoonpb.ReplicaRole_REPLICA_VOTER && (s == removed || s == dead && bad == none) {
			bad = m.node
		}
	}
	kind, why := operator.ReplaceDead, ""
	if n := &p.nodes[bad]; n.standing == removed {
		kind, why = operator.ReplaceRemoved, fmt.Sprintf("%s was removed from the cluster", n.name)
	} else {
		why = fmt.Sprintf("%s has not answered for %s, the limit is %s", n.name,
			p.now.Sub(n.Down).Round(time.Second), time.Duration(p.view.Settings.DeadAfterSeconds)*time.Second)
	}
	p.replace(r, bad, kind, why)
}

// replace moves a replica that has to go, or only removes it if there are
// enough others.
func (p *planner) replace(r *ranged, bad int32, kind operator.Kind, why string) {
	if r.voters() > p.want(r) {
		p.emit(r, kind, fmt.Sprintf("%s; %d other replicas are enough", why, r.voters()-1), p.removeSteps(r, bad))
		return
	}
	to := p.learner(r)
	if to == none {
		to = p.pick(r, bad)
	}
	if to == none {
		p.block(r, bad, kind, why)
		return
	}
	p.emit(r, kind, fmt.Sprintf("%s; %s takes over", why, p.nodes[to].name), p.moveSteps(r, bad, to))
}

func (p *planner) repairFew(r *ranged) {
	if to := p.learner(r); to != none {
		p.emit(r, operator.FinishMove, fmt.Sprintf("%d of %d replicas vote, the one on %s does not yet",
			r.voters(), p.want(r), p.nodes[to].name), p.moveSteps(r, none, to)[1:])
		return
	}
	if to := p.pick(r, none); to != none {
		p.emit(r, operator.AddReplica, fmt.Sprintf("%d of %d replicas", r.voters(), p.want(r)), p.moveSteps(r, none, to))
	}
}

// leavingWhy says why a node's replicas move away.
func (n *node) leavingWhy() string {
	if n.Record.Learner {
		return n.name + " is a learner member"
	}
	return n.name + " is draining"
}

// drainLeader hands the leadership on before the data moves.
func (p *planner) drainLeader(r *ranged) {
	from := &p.nodes[r.leader]
	if from.handing >= handovers {
		return
	}
	to := none
	for _, m := range r.members {
		n := &p.nodes[m.node]
		if m.role == pontoonpb.ReplicaRole_REPLICA_VOTER && n.leads && (to == none || n.leaders < p.nodes[to].leaders) {
			to = m.node
		}
	}
	if to == none { // all others drain, too, or do not answer
		p.drain(r)
		return
	}
	p.emit(r, operator.DrainLeader, from.leavingWhy(), []operator.Step{
		{Kind: operator.TransferLeader, Range: r.id, Node: p.nodes[to].id}})
}

func (p *planner) drain(r *ranged) {
	bad := none
	for _, m := range r.members {
		if m.role == pontoonpb.ReplicaRole_REPLICA_VOTER && p.nodes[m.node].standing == leaving && (bad == none || bad == r.leader) {
			bad = m.node
		}
	}
	p.replace(r, bad, operator.Drain, p.nodes[bad].leavingWhy())
}

// repairMany removes a replica whose node does not answer, else the one that
// shares most with others, of those that share alike the one of the fullest
// node.
func (p *planner) repairMany(r *ranged) {
	bad, most := none, 0
	for _, m := range r.members {
		if m.role != pontoonpb.ReplicaRole_REPLICA_VOTER || m.node == r.leader {
			continue
		}
		c := p.penaltyOf(m.node, r.members, none)
		if !p.nodes[m.node].Live {
			c = math.MaxInt
		}
		if bad == none || c > most || c == most && p.nodes[m.node].weight > p.nodes[bad].weight {
			bad, most = m.node, c
		}
	}
	if bad != none {
		p.emit(r, operator.RemoveReplica, fmt.Sprintf("%d replicas, %d are wanted", r.voters(), p.want(r)), p.removeSteps(r, bad))
	}
}

// cleanUp removes what a move left behind.
func (p *planner) cleanUp(r *ranged) {
	for _, m := range r.members {
		if m.role == pontoonpb.ReplicaRole_REPLICA_LEARNER {
			p.emit(r, operator.CleanLearner, fmt.Sprintf("a move left a replica without a vote on %s", p.nodes[m.node].name),
				p.removeSteps(r, m.node))
			return
		}
	}
}
