package storage

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// crashPoints takes what a crash would leave before each change of the file
// system.
type crashPoints struct {
	fs    *FS // below
	mu    sync.Mutex
	armed bool
	left  []*FS
}

func (c *crashPoints) MaybeError(op errorfs.Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		c.left = append(c.left, c.fs.CrashClone(0, 1), c.fs.CrashClone(50, uint64(len(c.left))))
	}
	return nil
}

// plainFS makes new files where old ones would be used again: the file system
// in memory takes its lock twice for that, which a crash in between would block.
type plainFS struct{ vfs.FS }

func (p plainFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := p.Remove(old); err != nil {
		return nil, err
	}
	return p.Create(name, category)
}

func (c *crashPoints) String() string { return "crash points" }

func (c *crashPoints) arm(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = on
}

// P47: whenever a crash comes, from the first byte staged to the last word of
// the ingest, the range is as before or as in the snapshot with all that is
// local to it, and where it is as in the snapshot, nothing that was written
// before in other ranges is lost.
func TestSnapshotCrashAtEachStep_P47(t *testing.T) {
	src := openMem(t)
	sourceRange(t, src, 3, keys.UserSpan)
	stream := exported(t, src, 3)
	want := checksum(t, src, 3)

	below := NewCrashableMemFS()
	points := &crashPoints{fs: below}
	e := openFS(t, &FS{FS: plainFS{errorfs.Wrap(below.FS, points)}, mem: below.mem})
	createRange(t, e, 3, keys.UserSpan)
	createRange(t, e, 4, keys.LeaseSpan)
	apply(t, e, 3, put("a", 9, 9, 1, "old"), put("old", 10, 10, 1, "old"))
	check(t, e.db.Flush())
	before := checksum(t, e, 3)
	apply(t, e, 4, &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Key: keys.Lease(1), Value: []byte("lease"),
	})
	points.arm(true)
	s := must(e.StageSnapshot(context.Background(), bytes.NewReader(stream)))(t)
	check(t, s.Ingest(context.Background(), newHardState(6, 0, 11), 1))
	points.arm(false)
	check(t, e.Close())

	old, taken := 0, 0
	for i, fs := range points.left {
		e := openFS(t, fs)
		switch got := checksum(t, e, 3); {
		case got == before && e.Log(3).Applied().Index == bootIndex+1:
			old++
		case got == want && e.Log(3).Applied() == src.Log(3).Applied():
			taken++
			if e.Log(4).Applied().Index != bootIndex+1 {
				t.Errorf("point %d: the snapshot is there, range 4 fell back", i)
			}
			checkLog(t, e.Log(3), LogMark{Index: 11, Term: 6}, nil)
		default:
			t.Errorf("point %d: checksum %v, applied %+v", i, got, e.Log(3).Applied())
		}
		if left, err := fs.List(e.stagingDir()); err == nil && len(left) > 0 {
			t.Errorf("point %d: staged tables are left: %v", i, left)
		}
		check(t, e.Close())
	}
	t.Logf("%d crashes, %d before and %d after", len(points.left), old, taken)
	if old == 0 || taken == 0 {
		t.Error("crashes on one side only")
	}
}
