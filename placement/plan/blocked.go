package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Blocked is what ought to be done and cannot be, whatever time goes by: replicas
// have to leave a node, and no other one may take them.
type Blocked struct {
	Kind   operator.Kind
	Node   proto.NodeID  // to be left
	Range  proto.RangeID // the first of them
	Ranges int           // how many
	Reason string        // what it is for, and what it waits for
}

// block notes that the replica on bad has to go and that there is no place for
// it. Places that are merely busy are no reason to complain: it gets its turn.
func (p *planner) block(r *ranged, bad int32, kind operator.Kind, why string) {
	for t := range p.nodes {
		if p.canHold(r, int32(t)) {
			return
		}
	}
	id := p.nodes[bad].id
	i := slices.IndexFunc(p.result.Blocked, func(b Blocked) bool { return b.Kind == kind && b.Node == id })
	if i < 0 {
		i = len(p.result.Blocked)
		p.result.Blocked = append(p.result.Blocked, Blocked{
			Kind: kind, Node: id, Range: r.id, Reason: why + "; " + p.obstacle(r),
		})
	}
	p.result.Blocked[i].Ranges++
}

// obstacle says why no node takes a replica of the range, and what helps. A node
// that does not answer still counts as one that should hold replicas: it may come
// back, and fewer are not enough until it is removed.
func (p *planner) obstacle(r *ranged) string {
	var silent, full []string
	for t := range p.nodes {
		switch n := &p.nodes[t]; {
		case n.Record.State != pontoonpb.NodeState_NODE_ACTIVE || n.Record.Learner || n.standing == stranger:
		case !n.Live:
			silent = append(silent, n.name)
		case !r.on(int32(t)):
			full = append(full, n.name)
		}
	}
	var says []string
	if len(full) > 0 {
		says = append(says, fmt.Sprintf("%s has not enough room", strings.Join(full, ", ")))
	}
	if len(silent) > 0 {
		says = append(says, fmt.Sprintf("%s does not answer but counts as one of the %d nodes that should hold replicas: bring it back or remove it",
			strings.Join(silent, ", "), p.holders))
	}
	if len(says) == 0 {
		return fmt.Sprintf("no other node may hold any of the %d replicas wanted: add a node", p.want(r))
	}
	return strings.Join(says, "; ") + ", or add a node"
}
