package node

import (
	"context"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/node/api"
	"github.com/pontoon-kv/pontoon/node/backup"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
)

// maintenance is etcd's Maintenance service: backups are a room of their own.
type maintenance struct {
	*api.Maintenance
	*backup.Service
}

// openBackup builds what takes backups.
func (n *Node) openBackup() (err error) {
	n.backup, err = backup.New(backup.Options{
		Node: n.members.Self, ClusterID: n.members.ID, Dir: n.cfg.DataDir,
		Sequencer: revisions{n.numbers, n.tracer}, Ranges: n.sender, Store: backupStore{n.store}, Peers: n.peers,
		Term: n.numbers.Term, Logger: n.cfg.Logger,
	})
	return err
}

// backupStore is the store as package backup wants it.
type backupStore struct{ store *rangeraft.Store }

func (s backupStore) Open(ctx context.Context, rev proto.Revision, parts []rangeraft.BackupPart) (backup.View, error) {
	b, err := s.store.OpenBackup(ctx, rev, parts)
	if err != nil {
		return nil, err // never a typed nil
	}
	return b, nil
}

// serveBackups registers the sessions of other nodes' backups.
func (n *Node) serveBackups(peer *grpc.Server) {
	pontoonpb.RegisterBackupServer(peer, &backup.Server{ClusterID: n.members.ID, Store: backupStore{n.store}})
}
