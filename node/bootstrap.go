package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
)

// loadMembers returns the cluster this node belongs to, and whether the data
// directory knew it already: like etcd, a restart ignores the initial flags,
// unless they describe another new cluster of several nodes.
func loadMembers(cfg *config.Config) (members *membership.Cluster, known bool, err error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, false, fmt.Errorf("data directory: %w", err)
	}
	if err := membership.SyncDir(filepath.Dir(cfg.DataDir)); err != nil {
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
	if _, claimed, err := engine.Ident(); err != nil {
		return false, err
	} else if known && !claimed {
		// Starting anew would forget votes and acknowledged writes.
		return false, errors.New("the data directory knows its cluster, but its engine is gone; " +
			"restore it, or start this node with an empty data directory once it was removed from the cluster")
	}
	if err := engine.SetIdent(storage.Ident{ClusterID: members.ID, NodeID: members.Self}); err != nil {
		return false, err
	}
	ranges, err := engine.Ranges()
	if err != nil || len(ranges) > 0 || known {
		return false, err
	}
	return true, bootstrap(engine, members)
}

// bootstrap creates the initial ranges and their directory, the same on every
// node.
func bootstrap(engine *storage.Engine, members *membership.Cluster) error {
	ranges := directory.Bootstrap(members.NodeIDs())
	records, err := directory.InitialRecords(ranges)
	if err != nil {
		return err
	}
	return rangeraft.Bootstrap(engine, members.Self, ranges, records)
}
