package node

import (
	"strings"

	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/metrics"
	"github.com/pontoon-kv/pontoon/node/version"
	"github.com/pontoon-kv/pontoon/proto"
)

// clusterVersion is what etcd shows of it: major and minor.
var clusterVersion = version.Cluster[:strings.LastIndexByte(version.Cluster, '.')]

// Facts implements metrics.Node: what a scrape asks for, from what is known here.
func (n *Node) Facts() metrics.Facts {
	total, inUse := localStore{n.store, n.engine}.Sizes()
	f := metrics.Facts{
		ID: uint64(n.members.Self), Leader: uint64(n.rootLeader()), LeaderChanges: n.leaders.changes.Load(),
		Learner: n.roster.Node(n.members.Self).GetLearner(), ServerVersion: version.Etcd, Cluster: clusterVersion,
		SizeBytes: total, SizeInUseBytes: inUse, QuotaBytes: n.quota.Limit(),
		Revision: int64(n.numbers.Seen()), Compacted: int64(n.numbers.Floor()), AuthRevision: n.guard.Revision(),
		LeaseCheckpoint: n.cfg.LeaseCheckpoint,
	}
	for _, r := range members.Active(n.roster.Nodes()) {
		id := proto.NodeID(r.NodeId)
		f.Peers = append(f.Peers, metrics.Peer{ID: r.NodeId, Up: n.peers.Up(id)})
	}
	for _, a := range n.alarms.Known() {
		f.Alarms = append(f.Alarms, metrics.Alarm{Member: a.MemberID, Kind: a.Alarm.String()})
	}
	return f
}
