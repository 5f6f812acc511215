package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Options of a Service. All but the last three are needed.
type Options struct {
	Node      proto.NodeID
	ClusterID uint64
	// Dir holds the directories of backups that are under way: as much as the
	// backup's size twice, while it is taken.
	Dir       string
	Sequencer Sequencer
	Ranges    Ranges
	Store     Store
	Peers     Peers
	Term      func() proto.Term // for the file's metadata
	// SortBytes is how much is sorted in memory. Default 32 MiB.
	SortBytes int
	// Waiting is how many backups may wait for the one under way; more are
	// refused. Default 4.
	Waiting int
	Logger  *slog.Logger
}

// Service takes backups.
type Service struct {
	opts  Options
	turns chan struct{} // of those that are let in
	turn  chan struct{} // of the one that works
}

const dirPattern = "backup-*"

// New returns a service and removes what a crash left in Dir.
func New(opts Options) (*Service, error) {
	if opts.SortBytes <= 0 {
		opts.SortBytes = 32 << 20
	}
	if opts.Waiting <= 0 {
		opts.Waiting = 4
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	left, err := filepath.Glob(filepath.Join(opts.Dir, dirPattern))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return &Service{opts: opts, turns: make(chan struct{}, 1+opts.Waiting), turn: make(chan struct{}, 1)}, nil
}

// enter waits for this backup's turn (B4).
func (s *Service) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.turns <- struct{}{}:
	default:
		return nil, status.Error(codes.ResourceExhausted, "too many backups wait on this node already; ask another one")
	}
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn; <-s.turns }, nil
	case <-ctx.Done():
		<-s.turns
		return nil, ctx.Err()
	}
}

// Snapshot implements etcd's Maintenance.Snapshot.
func (s *Service) Snapshot(_ *pb.SnapshotRequest, out pb.Maintenance_SnapshotServer) error {
	ctx := out.Context()
	err := s.snapshot(ctx, out)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	}
	s.opts.Logger.Warn("backup failed", "error", err)
	if st, ok := status.FromError(err); ok {
		return st.Err()
	}
	var re *proto.RangeError
	if errors.As(err, &re) && re.Code != pontoonpb.RangeErrorCode_ETCD {
		return status.Errorf(codes.Unavailable, "backup: %v", err)
	}
	if errors.As(err, &re) {
		return proto.ClientError(err)
	}
	return status.Errorf(codes.Internal, "backup: %v", err)
}

func (s *Service) snapshot(ctx context.Context, out pb.Maintenance_SnapshotServer) (err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	dir, err := os.MkdirTemp(s.opts.Dir, dirPattern)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := time.Now()
	w, err := etcdfile.Create(filepath.Join(dir, "db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	contents, err := s.fill(ctx, dir, w)
	if err != nil {
		return err
	}
	return w.Read(func(size int64, from io.WriterTo) error {
		s.opts.Logger.Info("backup taken, sending it", "revision", int64(contents.Revision), "bytes", size, "took", time.Since(start))
		return send(out, size, from)
	})
}

// fill brings a cut of everything into the file.
func (s *Service) fill(ctx context.Context, dir string, w *etcdfile.Writer) (*etcdfile.Contents, error) {
	// A lease may be revoked, with its keys, after the cut and before the second
	// look; one that is granted after the first look is found by the second (B5).
	before, after := map[proto.LeaseID]etcdfile.Lease{}, map[proto.LeaseID]etcdfile.Lease{}
	if err := leases(ctx, s.opts.Ranges, before); err != nil {
		return nil, err
	}
	c, used, sorted, err := s.collect(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := leases(ctx, s.opts.Ranges, after); err != nil {
		return nil, err
	}
	c.Leases, c.Term = allLeases(before, after, used), s.opts.Term()
	if c.Auth, err = authOf(ctx, s.opts.Ranges); err != nil {
		return nil, err
	}
	if err := members(ctx, s.opts.Ranges, c); err != nil {
		return nil, err
	}
	n := 0
	err = sorted.merge(func(key, value []byte) error {
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return w.Version(key, value)
	})
	if err != nil {
		return nil, err
	}
	return c, w.Finish(c)
}

// checkEvery is how many records pass between looks at the context.
const checkEvery = 1000

// collect reads all versions into a sorter. The views are gone once it returns.
func (s *Service) collect(ctx context.Context, dir string) (*etcdfile.Contents, map[proto.LeaseID]struct{}, *sorter, error) {
	c, err := s.pin(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	defer c.close()
	s.opts.Logger.Info("backup begins", "revision", int64(c.revision), "floor", int64(c.floor), "nodes", len(c.sessions))
	sorted := newSorter(dir, s.opts.SortBytes)
	used := map[proto.LeaseID]struct{}{}
	n := 0
	for _, session := range c.sessions {
		err := session.collect(sink{
			record: func(key, value []byte) error {
				if n++; n%checkEvery == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				return sorted.add(key, value)
			},
			lease: func(id proto.LeaseID) { used[id] = struct{}{} },
		})
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return &etcdfile.Contents{Revision: c.revision, Floor: c.floor}, used, sorted, nil
}
