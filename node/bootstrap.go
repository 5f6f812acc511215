package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
)

// origin says how a node came to know its cluster.
type origin int

const (
	known   origin = iota // from its data directory
	founded               // it is one of those who begin it
	joined                // from a member
)

// loadMembers returns the cluster this node belongs to. Like in etcd, a restart
// ignores the initial flags, unless they describe another new cluster of
// several nodes.
func loadMembers(ctx context.Context, cfg *config.Config) (*membership.Cluster, origin, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("data directory: %w", err)
	}
	if err := membership.SyncDir(filepath.Dir(cfg.DataDir)); err != nil {
		return nil, 0, fmt.Errorf("data directory: %w", err)
	}
	have, err := membership.Load(cfg.DataDir)
	if err != nil {
		return nil, 0, err
	}
	if have != nil {
		if cfg.Discovery.Wanted() {
			cfg.Logger.Warn("discovery token is ignored since cluster already initialized; valid logs are found", "data-dir", cfg.DataDir)
		}
		if m, ok := have.Member(have.Self); ok && m.Removed {
			return nil, 0, ErrRemoved
		}
		if err := checkSame(cfg, have); err != nil {
			return nil, 0, err
		}
		return have, known, greet(ctx, cfg, have)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "member", "wal")); err == nil {
		return nil, 0, fmt.Errorf("data directory %s is one of etcd, which cannot be read as it is: "+
			"take a snapshot of that cluster and make a cluster of it with `pontoon restore`, or give another --data-dir", cfg.DataDir)
	}
	own := cfg.AdvertisePeerURLs
	if cfg.SRV.Wanted() {
		if cfg.InitialCluster, own, err = cfg.SRV.Members(cfg.Name, own, cfg.Logger); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case len(cfg.Join) > 0:
		have, err = joinCluster(ctx, cfg)
		return have, joined, err
	case cfg.InitialClusterState == "existing":
		have, err = joinExisting(ctx, cfg)
		return have, joined, err
	case cfg.Discovery.Wanted():
		have, err = discoverCluster(ctx, cfg)
	default:
		have, err = membership.Parse(cfg.InitialCluster, cfg.InitialClusterToken, cfg.Name, own)
	}
	if err == nil {
		err = firstTime(ctx, cfg, have)
	}
	return have, founded, err
}

// discoverCluster founds a cluster with those that a service names. As in etcd the
// token of the service is that of the cluster.
func discoverCluster(ctx context.Context, cfg *config.Config) (*membership.Cluster, error) {
	token := cfg.Discovery.Token
	alone, err := membership.Parse(cfg.Alone(), token, cfg.Name, cfg.AdvertisePeerURLs)
	if err != nil {
		return nil, err
	}
	found, err := cfg.Discovery.Join(ctx, uint64(alone.Self), cfg.Alone(), cfg.Logger)
	if err != nil {
		return nil, err
	}
	return membership.Parse(found, token, cfg.Name, cfg.AdvertisePeerURLs)
}

// ErrRemoved ends a node that was removed from its cluster; etcd's text.
var ErrRemoved = errors.New(members.Removed)

// checkSame refuses a data directory that cannot be the one that is meant.
func checkSame(cfg *config.Config, have *membership.Cluster) error {
	meant, err := membership.Parse(cfg.InitialCluster, cfg.InitialClusterToken, cfg.Name, cfg.AdvertisePeerURLs)
	if err != nil || cfg.InitialClusterState != "new" || len(meant.Members) == 1 || meant.ID == have.ID && meant.Self == have.Self {
		return nil
	}
	if have.Moved(meant, cfg.Name) {
		return nil
	}
	return fmt.Errorf("data directory %s is that of node %x of cluster %x, but the flags describe node %x of cluster %x; "+
		"use another --data-dir, or the flags the directory was made with",
		cfg.DataDir, uint64(have.Self), have.ID, uint64(meant.Self), meant.ID)
}

// claim makes the engine this node's: it refuses another's data, and creates
// the first ranges of a new cluster. fresh reports that no range in it is from
// an earlier life.
func claim(engine *storage.Engine, members *membership.Cluster, from origin) (fresh bool, err error) {
	if _, claimed, err := engine.Ident(); err != nil {
		return false, err
	} else if from == known && !claimed {
		// Starting anew would forget votes and acknowledged writes.
		return false, errors.New("the data directory knows its cluster, but its engine is gone; " +
			"restore it, or start this node with an empty data directory once it was removed from the cluster")
	}
	if err := engine.SetIdent(storage.Ident{ClusterID: members.ID, NodeID: members.Self}); err != nil {
		return false, err
	}
	ranges, err := engine.Ranges()
	if err != nil || len(ranges) > 0 || from == known {
		return false, err
	}
	if from == founded {
		err = bootstrap(engine, members)
	}
	return true, err
}

// bootstrap creates the initial ranges, their directory and the records of the
// members, the same on every node.
func bootstrap(engine *storage.Engine, members *membership.Cluster) error {
	ranges := directory.Bootstrap(members.NodeIDs())
	records, err := directory.InitialRecords(ranges)
	if err != nil {
		return err
	}
	nodes := make([]*pontoonpb.NodeRecord, len(members.Members))
	for i, m := range members.Members {
		nodes[i] = &pontoonpb.NodeRecord{NodeId: uint64(m.ID), Name: m.Name, PeerUrls: m.PeerURLs}
	}
	initial, err := roster.InitialRecords(nodes)
	if err != nil {
		return err
	}
	return rangeraft.Bootstrap(engine, members.Self, ranges, append(records, initial...))
}

// firstRanges returns the descriptors that a node begins with: those of its own
// replicas, and where the root range was.
func firstRanges(engine *storage.Engine, members *membership.Cluster) ([]*pontoonpb.Descriptor, error) {
	list := []*pontoonpb.Descriptor{members.RootRange()}
	states, err := engine.Ranges()
	if err != nil {
		return nil, err
	}
	for _, st := range states {
		list = append(list, st.Descriptor)
	}
	return list, nil
}
