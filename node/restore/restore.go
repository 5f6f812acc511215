package restore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
)

// DefaultRangeBytes is about what a range holds after a split by size.
const DefaultRangeBytes = 128 << 20

// Options of Run. All nodes get the same, but for DataDir, Name and
// AdvertisePeerURLs.
type Options struct {
	File                string
	DataDir             string // must not exist or be empty
	Name                string
	InitialCluster      string
	InitialClusterToken string
	AdvertisePeerURLs   []string
	// SkipHashCheck takes a file whose checksum is wrong or missing; its
	// structure is checked instead.
	SkipHashCheck bool
	// BumpRevision is added to the revision, so that clients never see it go back
	// where the old cluster went on after the backup. Everything up to there then
	// counts as compacted.
	BumpRevision uint64
	// RangeBytes is about how large the first ranges are. Default 128 MiB.
	RangeBytes int64
	// Progress is told how far a step is, in the unit it names. Default: nobody.
	Progress func(step string, done, total int64)
	Logger   *slog.Logger
}

// Result says what was restored.
type Result struct {
	ClusterID       uint64
	Node            proto.NodeID
	Revision, Floor proto.Revision
	Versions, Keys  int64 // all versions, live keys
	Leases          int
	Ranges          int
}

// Run restores one node. When it fails, nothing of it is left.
func Run(ctx context.Context, o Options) (res *Result, err error) {
	if o.RangeBytes <= 0 {
		o.RangeBytes = DefaultRangeBytes
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	cluster, err := membership.Parse(o.InitialCluster, o.InitialClusterToken, o.Name, o.AdvertisePeerURLs)
	if err != nil {
		return nil, err
	}
	if err := checkEmpty(o.DataDir); err != nil {
		return nil, err
	}
	digest, err := etcdfile.Verify(o.File, o.SkipHashCheck, func(n, total int64) { o.Progress("checking", n, total) })
	if err != nil {
		return nil, err
	}
	file, err := etcdfile.Open(o.File, o.SkipHashCheck)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cluster.ID = directory.RestoredClusterID(cluster.NodeIDs(), o.seal(digest))
	made, err := prepare(o.DataDir)
	defer func() {
		if err != nil {
			err = errors.Join(err, made.remove())
		}
	}()
	if err != nil {
		return nil, err
	}
	if res, err = fill(ctx, &o, file, cluster); err != nil {
		return nil, err
	}
	return res, made.finish(cluster)
}

// seal is all that the data is made of (R1, R2).
func (o *Options) seal(digest etcdfile.Digest) []byte {
	b := binary.BigEndian.AppendUint64(digest[:], o.BumpRevision)
	b = binary.BigEndian.AppendUint64(b, uint64(o.RangeBytes))
	sum := sha256.Sum256(b)
	return sum[:]
}

// checkEmpty refuses a directory with anything in it; etcd's text.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	return fmt.Errorf("data-dir %q not empty or could not be read", dir)
}

// workplace is a data directory that is being made.
type workplace struct {
	dir     string
	existed bool
}

func prepare(dir string) (w workplace, err error) {
	w.dir = dir
	if _, err := os.Stat(dir); err == nil {
		w.existed = true
	}
	if err := os.MkdirAll(membership.RestoreDir(dir), 0o700); err != nil {
		return w, fmt.Errorf("restore: %w", err)
	}
	return w, membership.SyncDir(dir)
}

// remove takes back what prepare and fill made.
func (w workplace) remove() error {
	if !w.existed {
		return os.RemoveAll(w.dir)
	}
	return os.RemoveAll(membership.RestoreDir(w.dir))
}

// finish puts everything in its place, the mark that it is whole last (R3).
func (w workplace) finish(cluster *membership.Cluster) error {
	work := membership.RestoreDir(w.dir)
	if err := os.Rename(membership.EngineDir(work), membership.EngineDir(w.dir)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := cluster.Save(w.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return membership.SyncDir(w.dir)
}

// fill makes the engine.
func fill(ctx context.Context, o *Options, file *etcdfile.File, cluster *membership.Cluster) (res *Result, err error) {
	contents, err := file.Contents()
	if err != nil {
		return nil, err
	}
	if bump := proto.Revision(o.BumpRevision); bump > 0 {
		if contents.Revision+bump < contents.Revision {
			return nil, fmt.Errorf("revision %d cannot be raised by %d", contents.Revision, o.BumpRevision)
		}
		contents.Revision += bump
		contents.Floor = contents.Revision
	}
	engine, err := storage.Open(storage.Options{Dir: membership.EngineDir(membership.RestoreDir(o.DataDir)), Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	l := &loader{engine: engine, batch: engine.NewBatch(), tell: o.Progress, size: file.Size()}
	defer func() { l.batch.Close() }()
	versions, err := l.versions(ctx, file)
	if err != nil {
		return nil, err
	}
	plan, err := l.survey(ctx, o.RangeBytes, contents, versions)
	if err != nil {
		return nil, err
	}
	seeds, err := plan.seeds(cluster, contents)
	if err != nil {
		return nil, err
	}
	if err := l.rest(ctx, plan, seeds, cluster.Self, contents); err != nil {
		return nil, err
	}
	if err := engine.SetIdent(storage.Ident{ClusterID: cluster.ID, NodeID: cluster.Self}); err != nil {
		return nil, err
	}
	if err := rangeraft.BootstrapSeeds(engine, cluster.Self, seeds); err != nil {
		return nil, err
	}
	return &Result{
		ClusterID: cluster.ID, Node: cluster.Self, Revision: contents.Revision, Floor: contents.Floor,
		Versions: versions, Keys: plan.keys(), Leases: len(contents.Leases), Ranges: len(plan.ranges),
	}, nil
}
