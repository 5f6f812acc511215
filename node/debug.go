package node

import (
	"context"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft"
)

// localRanges are this node's replicas as /debug/ranges shows them.
type localRanges struct {
	*rangeraft.Store
	node *Node
}

// Seen is the highest revision that this node knows of.
func (l localRanges) Seen() proto.Revision { return l.node.numbers.Seen() }

// KeysOpen says whether authentication is known to be off.
func (l localRanges) KeysOpen(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	rules, err := l.node.guard.Current(ctx)
	return err == nil && !rules.Enabled()
}

// NodeName is the name that a node gossips, else its id.
func (l localRanges) NodeName(id proto.NodeID) string {
	if id == l.node.members.Self {
		return l.node.cfg.Name
	}
	if m, ok := l.node.gossip.Member(id); ok && m.Meta.Name != "" {
		return m.Meta.Name
	}
	if id == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%x", uint64(id))
}
