package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// View is all that a plan is made from. It is not changed by planning.
type View struct {
	Now      time.Time
	Settings *pontoonpb.Settings // with defaults
	Nodes    []Node              // by id
	Ranges   []Range             // by start key
	Running  []*operator.Operator
	Rests    map[proto.RangeID]operator.Rest
}

// Node is a member and what was observed of it.
type Node struct {
	Record *pontoonpb.NodeRecord
	Live   bool
	// Stopping: it said that it stops. It leads nothing new, and counts as one
	// that lives as long as it does.
	Stopping bool
	Down     time.Time // when it stopped to be live, if it is not
	// DiskFree and DiskTotal are zero while not known.
	DiskFree, DiskTotal int64
}

// Range is a range as its leader reported it last.
type Range struct {
	// Status has leader_node 0 when no leader reported the range lately.
	Status *pontoonpb.RangeStatus
	// Changed is when the descriptor became what it is, as far as was observed.
	Changed time.Time
}

// Name is how a node is called in texts.
func Name(n *pontoonpb.NodeRecord) string {
	if n.GetName() != "" {
		return n.Name
	}
	return fmt.Sprintf("node %x", n.GetNodeId())
}

// Names returns a function that names nodes in texts.
func (v *View) Names() func(proto.NodeID) string {
	names := make(map[proto.NodeID]string, len(v.Nodes))
	for _, n := range v.Nodes {
		names[proto.NodeID(n.Record.NodeId)] = Name(n.Record)
	}
	return func(id proto.NodeID) string {
		if name := names[id]; name != "" {
			return name
		}
		return fmt.Sprintf("node %x", uint64(id))
	}
}

// place writes a locality for people.
func place(tiers []*pontoonpb.LocalityTier) string {
	parts := make([]string, len(tiers))
	for i, t := range tiers {
		parts[i] = t.Key + "=" + t.Value
	}
	return strings.Join(parts, ",")
}

// human writes a size for people.
func human(n float64) string {
	const kib, mib = 1 << 10, 1 << 20
	switch {
	case n < mib:
		return fmt.Sprintf("%.0f KiB", n/kib)
	case n < 10*mib:
		return fmt.Sprintf("%.1f MiB", n/mib)
	}
	return fmt.Sprintf("%.0f MiB", n/mib)
}

// cost is what leading a range costs, in requests per second. Large writes
// count for more.
func cost(l *pontoonpb.RangeLoad) float64 {
	const bytesPerRequest = 16 << 10
	return l.GetWritesPerSecond() + l.GetReadsPerSecond() + l.GetWriteBytesPerSecond()/bytesPerRequest
}
