package node

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// needs says whether this node can serve what clients require.
type needs struct{ n *Node }

// HasLeader implements require.Node.
func (r needs) HasLeader() bool { return r.n.rootLeader() != 0 }

// Learner implements require.Node. The records at hand are old for a moment
// after a promotion, so they are read again before a request is refused.
func (r needs) Learner(ctx context.Context) bool {
	if !r.n.roster.Node(r.n.members.Self).GetLearner() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, r.n.cfg.ElectionTimeout)
	defer cancel()
	nodes, err := r.n.membership.Nodes(ctx, true)
	return err != nil || learner(nodes, uint64(r.n.members.Self))
}

func learner(nodes []*pontoonpb.NodeRecord, id uint64) bool {
	for _, r := range nodes {
		if r.NodeId == id {
			return r.Learner
		}
	}
	return false
}
