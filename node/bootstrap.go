package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage"
)

// Where the log of a range that was never split off begins. Above zero, so
// that a replica without any state is told apart from an initial one and is
// sent a raft snapshot.
const (
	initialIndex = 10
	initialTerm  = 5
)

// publishTimeout bounds the write of the first directory.
const publishTimeout = 10 * time.Second

// loadMembers returns the cluster this node belongs to, and whether the data
// directory knew it already: like etcd, a restart ignores the initial flags,
// unless they describe another new cluster of several nodes.
func loadMembers(cfg *config.Config) (members *membership.Cluster, known bool, err error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, false, fmt.Errorf("data directory: %w", err)
	}
	if members, err = membership.Load(cfg.DataDir); members != nil || err != nil {
		if err == nil {
			err = checkSame(cfg, members)
		}
		return members, true, err
	}
	if cfg.InitialClusterState != "new" {
		return nil, false, errors.New(`--initial-cluster-state=existing needs a data directory of that cluster: ` +
			`joining a running cluster is not supported yet`)
	}
	members, err = membership.Parse(cfg.InitialCluster, cfg.InitialClusterToken, cfg.Name, cfg.AdvertisePeerURLs)
	return members, false, err
}

// checkSame refuses a data directory that cannot be the one that is meant.
func checkSame(cfg *config.Config, have *membership.Cluster) error {
	meant, err := membership.Parse(cfg.InitialCluster, cfg.InitialClusterToken, cfg.Name, cfg.AdvertisePeerURLs)
	if err != nil || cfg.InitialClusterState != "new" || len(meant.Members) == 1 || meant.ID == have.ID && meant.Self == have.Self {
		return nil
	}
	return fmt.Errorf("data directory %s is that of node %x of cluster %x, but the flags describe node %x of cluster %x; "+
		"use another --data-dir, or the flags the directory was made with",
		cfg.DataDir, uint64(have.Self), have.ID, uint64(meant.Self), meant.ID)
}

// claim makes the engine this node's: it refuses another's data, and creates
// the first ranges if there are none. fresh reports that it did.
func claim(engine *storage.Engine, members *membership.Cluster, known bool) (fresh bool, err error) {
	if err := engine.SetIdent(storage.Ident{ClusterID: members.ID, NodeID: members.Self}); err != nil {
		return false, err
	}
	ranges, err := engine.Ranges()
	if err != nil || len(ranges) > 0 || known {
		return false, err
	}
	return true, bootstrap(engine, members)
}

// bootstrap creates the initial ranges, the same on every node.
func bootstrap(engine *storage.Engine, members *membership.Cluster) error {
	b := engine.NewBatch()
	defer b.Close()
	for _, d := range directory.Bootstrap(members.NodeIDs()) {
		for _, r := range d.Replicas {
			if proto.NodeID(r.NodeId) != members.Self {
				continue
			}
			term, commit := uint64(initialTerm), uint64(initialIndex)
			err := b.CreateRange(storage.RangeState{
				Descriptor: d,
				HardState:  &raftpb.HardState{Term: &term, Commit: &commit},
				Truncated:  storage.LogMark{Index: initialIndex, Term: initialTerm},
				Applied: storage.AppliedState{
					Index: initialIndex, Term: initialTerm,
					Closed: proto.FirstRevision, Floor: proto.NeverCompacted,
				},
			}, proto.ReplicaID(r.ReplicaId))
			if err != nil {
				return err
			}
		}
	}
	return b.Commit(true)
}

// publishInitial writes the first ranges into the directory unless it has
// them. The root range calls it when this node comes to lead it; whoever leads
// next tries again.
func (n *Node) publishInitial(ctx context.Context) {
	n.initial.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		if err := n.directory.EnsureInitial(ctx, directory.Bootstrap(n.members.NodeIDs())); err != nil {
			n.cfg.Logger.Debug("the directory could not be made sure of", "error", err)
		}
	})
}
