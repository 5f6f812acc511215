package driver

import (
	"bytes"
	"time"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// freeze makes the view of a plan.
func (r *reign) freeze(
	records []*pontoonpb.NodeRecord, settings *pontoonpb.Settings, live Liveness, now time.Time,
) *plan.View {
	v := &plan.View{
		Now: now, Settings: roster.WithDefaults(settings, roster.Holders(records)),
		Nodes: r.figures.observe(records, live, now), Ranges: r.figures.list(now),
		Running: r.set.Running(), Rests: r.set.Rests(now),
	}
	if !v.Settings.BalanceOff && !r.complete(v) {
		// Who did not report seems to lead nothing: nothing is balanced by that.
		v.Settings = gproto.Clone(v.Settings).(*pontoonpb.Settings)
		v.Settings.BalanceOff = true
	}
	return v
}

// complete reports whether every node that lives has reported lately and the
// ranges that are known fill the keyspace.
func (r *reign) complete(v *plan.View) bool {
	for _, n := range v.Nodes {
		if n.Live && n.Record.State != pontoonpb.NodeState_NODE_REMOVED &&
			v.Now.Sub(r.figures.heard[proto.NodeID(n.Record.NodeId)]) > staleAfter {
			return false
		}
	}
	next := keys.MetaSpan.Start
	for _, g := range v.Ranges {
		if g.Status.LeaderNode == 0 || !bytes.Equal(g.Status.Desc.Span.GetStart(), next) {
			return false
		}
		next = g.Status.Desc.Span.GetEnd()
	}
	return bytes.Equal(next, keys.Max)
}
