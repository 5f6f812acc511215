package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// FileUse is one file of an engine's directory.
type FileUse struct {
	Name  string
	Kind  string // table, log, manifest, other
	Bytes int64
}

// Files lists the files of the engine.
func (e *Engine) Files() ([]FileUse, error) {
	names, err := e.po.FS.List(e.opts.Dir)
	if err != nil {
		return nil, wrap("list files", err)
	}
	slices.Sort(names)
	var all []FileUse
	for _, name := range names {
		info, err := e.po.FS.Stat(e.po.FS.PathJoin(e.opts.Dir, name))
		if err != nil {
			return nil, wrap("list files", err)
		}
		f := FileUse{Name: name, Kind: "other", Bytes: info.Size()}
		if _, isLog := logNumber(name); isLog {
			f.Kind = "log"
		} else if isTable(name) {
			f.Kind = "table"
		} else if isManifest(name) {
			f.Kind = "manifest"
		}
		all = append(all, f)
	}
	return all, nil
}

// CheckTables reads every block of every table and compares its checksum. fn is
// told of each table, err is nil or a *DamageError. An error of fn ends it.
// Tables that a crash cut off half-way are none: the MANIFEST does not list them.
func (e *Engine) CheckTables(ctx context.Context, fn func(f FileUse, err error) error) error {
	levels, err := e.db.SSTables()
	if err != nil {
		return wrap("list tables", err)
	}
	seen := map[string]bool{} // tables may share a file
	for _, level := range levels {
		for _, info := range level {
			f := FileUse{Name: info.BackingSSTNum.String() + ".sst", Kind: "table"}
			if seen[f.Name] {
				continue
			}
			seen[f.Name] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			path := e.po.FS.PathJoin(e.opts.Dir, f.Name)
			if f.Bytes, err = e.checkTable(ctx, path); err != nil {
				err = damagedFile(path, err)
			}
			if err := fn(f, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Engine) checkTable(ctx context.Context, path string) (size int64, err error) {
	f, err := e.po.FS.Open(path)
	if err != nil {
		return 0, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	size = readable.Size()
	r, err := sstable.NewReader(ctx, readable, e.po.MakeReaderOptions())
	if err != nil {
		return size, errors.Join(err, readable.Close())
	}
	return size, errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// CheckLevels compares the tables with each other: every key where the MANIFEST
// says, newer above older.
func (e *Engine) CheckLevels() error {
	return wrap("check levels", e.db.CheckLevels(&pebble.CheckLevelsStats{}))
}

// CheckLog reads a range's whole log: no entry missing, none beyond the end, terms
// never falling and none above the hard state's. It returns how many there are.
func (e *Engine) CheckLog(id proto.RangeID) (entries int64, err error) {
	l := e.Log(id)
	st := l.snapshotState()
	next, term := st.truncated.Index+1, st.truncated.Term
	it, err := l.iter(1)
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		index, ent, err := entryAt(it)
		if err != nil {
			return entries, rangeError(id, err)
		}
		if proto.Index(index) <= st.truncated.Index {
			continue // about to go
		}
		t := proto.Term(ent.GetTerm())
		switch {
		case proto.Index(index) != next:
			return entries, rangeError(id, damaged("log", fmt.Errorf("entry %d is missing", next)))
		case t < term || t > proto.Term(st.hardState().GetTerm()):
			return entries, rangeError(id, damaged("log", fmt.Errorf("entry %d is of term %d after term %d", index, t, term)))
		}
		next, term, entries = next+1, t, entries+1
	}
	if err := it.Error(); err != nil {
		return entries, wrap("check log", err)
	}
	switch hs := st.hardState(); {
	case next-1 != st.last.Index:
		return entries, rangeError(id, damaged("log", fmt.Errorf("it ends at %d, not at %d", next-1, st.last.Index)))
	case st.applied.Index > st.last.Index || st.applied.Index < st.truncated.Index:
		return entries, rangeError(id, damaged("applied state", fmt.Errorf("index %d lies outside of the log (%d, %d]", st.applied.Index, st.truncated.Index, st.last.Index)))
	case hs.GetCommit() > uint64(st.last.Index):
		return entries, rangeError(id, damaged("hard state", fmt.Errorf("commit %d lies beyond the log's end %d", hs.GetCommit(), st.last.Index)))
	}
	return entries, nil
}

// Census counts what the replicated spaces hold.
type Census struct {
	Versions, Keys, Tombstones int64 // Keys: live at the latest revision
	LeaseEntries, Locals       int64
}

// Census reads everything of a span, and fails where a record is not understood.
func (v *View) Census(span proto.Span) (c Census, err error) {
	for _, t := range enginekey.Replicated {
		if t != enginekey.Versions && err == nil {
			err = v.each(t, span, func(_, _, _ []byte) (bool, error) {
				if t == enginekey.LeaseIdx {
					c.LeaseEntries++
				} else {
					c.Locals++
				}
				return true, nil
			})
		}
	}
	if err != nil {
		return c, err
	}
	err = v.Changes(span, 0, Latest, func(ver *Version) (bool, error) {
		if c.Versions++; ver.Tombstone {
			c.Tombstones++
		}
		return true, nil
	})
	if err == nil {
		c.Keys, err = v.Count(span, Latest)
	}
	return c, err
}
