package node

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
)

// probe answers health questions.
type probe struct{ n *Node }

// HasLeader reports whether the root range's leader is known.
func (p probe) HasLeader() bool { return p.n.rootLeader() != 0 }

// probeKey is the key that etcd's own probes read; it need not exist.
const probeKey = "health"

// Read serves one read of a key.
func (p probe) Read(ctx context.Context, serializable bool) error {
	if !serializable && p.n.serving.stopping.Load() {
		return errStopping
	}
	_, err := p.n.kv.Range(ctx, &pb.RangeRequest{Key: []byte(probeKey), KeysOnly: true, Serializable: serializable})
	return err
}

// Alarms lists the alarms that this node knows of.
func (p probe) Alarms() []*pb.AlarmMember { return p.n.alarms.Known() }

// Learner reports whether this node is a learner member.
func (p probe) Learner() bool {
	for _, r := range p.n.roster.Nodes() {
		if proto.NodeID(r.NodeId) == p.n.members.Self {
			return r.Learner
		}
	}
	return false
}

// rootLeader returns the leader of the root range as this node knows it: from
// its own replica, or from who answered last.
func (n *Node) rootLeader() proto.NodeID {
	if n.store.Descriptor(proto.RootRange) != nil {
		return n.store.Leader(proto.RootRange)
	}
	return n.root.cache.Leader(proto.RootRange)
}

// localStore is the store and its engine as the maintenance service sees them.
type localStore struct {
	*rangeraft.Store
	engine *storage.Engine
}

// ownBytes stand for the records that a store has before anybody writes. Sizes are
// never zero, as etcd's are not: JSON would leave them out, and dashboards divide by
// them.
const ownBytes = 4096

// Sizes implements api.Store.
func (s localStore) Sizes() (total, inUse int64) {
	u := s.engine.Usage()
	return u.Total + ownBytes, u.InUse + ownBytes
}

// quotaStore is the engine as the quota sees it.
type quotaStore struct{ engine *storage.Engine }

func (s quotaStore) Used() int64 { return s.engine.Used() }

func (s quotaStore) Backlog() int64 { return s.engine.Backlog() }

func (s quotaStore) Disk() (free, total int64, err error) {
	d, err := s.engine.Disk()
	return d.Free, d.Total, err
}
