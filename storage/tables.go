package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tableSet is a directory of tables under construction. What a crash leaves is
// removed when the engine is opened.
type tableSet struct {
	e     *Engine
	dir   string
	paths []string
}

func (e *Engine) stagingDir() string { return e.po.FS.PathJoin(e.opts.Dir, "staging") }

// clearStaging removes what a crash left.
func (e *Engine) clearStaging() error {
	if e.opts.ReadOnly {
		return nil
	}
	return wrap("clear staging", e.po.FS.RemoveAll(e.stagingDir()))
}

func (e *Engine) newTableSet() (*tableSet, error) {
	dir := e.po.FS.PathJoin(e.stagingDir(), fmt.Sprintf("%06d", e.staging.Add(1)))
	if err := e.po.FS.MkdirAll(dir, 0o755); err != nil {
		return nil, wrap("stage", err)
	}
	return &tableSet{e: e, dir: dir}, nil
}

func (s *tableSet) remove() error {
	return wrap("remove staged tables", s.e.po.FS.RemoveAll(s.dir))
}

// create starts a new table.
func (s *tableSet) create() (*tableWriter, error) {
	fs := s.e.po.FS
	path := fs.PathJoin(s.dir, fmt.Sprintf("%06d.sst", len(s.paths)))
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, wrap("stage", err)
	}
	s.paths = append(s.paths, path)
	opts := s.e.po.MakeWriterOptions(0, s.e.db.TableFormat())
	return &tableWriter{w: sstable.NewWriter(objstorageprovider.NewFileWritable(f), opts)}, nil
}

// tableWriter writes one table.
type tableWriter struct{ w *sstable.Writer }

func (t *tableWriter) size() uint64 { return t.w.Raw().EstimatedSize() }

func (t *tableWriter) set(key, value []byte) error { return t.w.Set(key, value) }

func (t *tableWriter) deleteRange(start, end []byte) error { return t.w.DeleteRange(start, end) }

// close finishes the table and syncs it.
func (t *tableWriter) close() error { return t.w.Close() }

// abandon closes a table that will be removed.
func (t *tableWriter) abandon() { _ = t.w.Close() }

var errStaged = errors.New("storage: snapshot was ingested or discarded")
