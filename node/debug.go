package node

import (
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
