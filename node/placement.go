package node

import (
	"context"

	"github.com/pontoon-kv/pontoon/placement/driver"
	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// openPlacement builds the placement driver. It drives only while this node
// leads the root range.
func (n *Node) openPlacement() (err error) {
	p := placementPorts{n}
	n.placement, err = driver.New(driver.Options{
		ClusterID: n.members.ID, Reports: p, Sender: n.sender, Transport: n.store, Roster: roster.New(n.sender),
		Liveness: p.node.attendance, Ranges: n.directory, Root: p, Logger: n.cfg.Logger, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.onClose(n.placement.Close)
	return nil
}

// placementPorts are what the driver needs of its node.
type placementPorts struct{ node *Node }

// Reports asks a node what it leads.
func (p placementPorts) Reports(ctx context.Context, id proto.NodeID, boot, since uint64) (*pontoonpb.ReportReply, error) {
	if id == p.node.members.Self {
		return p.node.report(boot, since), nil
	}
	conn, err := p.node.peers.Conn(id)
	if err != nil {
		return nil, err
	}
	return pontoonpb.NewPeerClient(conn).Report(ctx,
		&pontoonpb.ReportRequest{ClusterId: p.node.members.ID, Boot: boot, Since: since})
}

// Leading says whether this node leads the root range. A node that stops no
// longer drives: it would work against its own hand-over.
func (p placementPorts) Leading() bool {
	return p.node.store.Leader(proto.RootRange) == p.node.members.Self && !p.node.serving.stopping.Load()
}

// Leader returns the node that leads the root range.
func (p placementPorts) Leader() proto.NodeID { return p.node.rootLeader() }
