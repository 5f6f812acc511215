package storage

import (
	"context"
	"errors"
	"fmt"
	"path"
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

// CheckTables reads every block of every table, and of every file of values that
// tables refer to, and compares its checksum. fn is told of each file, err is nil
// or a *DamageError. An error of fn ends it. Tables that a crash cut off half-way
// are none: the MANIFEST does not list them.
func (e *Engine) CheckTables(ctx context.Context, fn func(f FileUse, err error) error) error {
	levels, err := e.db.SSTables()
	if err != nil {
		return wrap("list tables", err)
	}
	damage, err := e.checkValues(ctx)
	if err != nil {
		return err
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
			file := e.po.FS.PathJoin(e.opts.Dir, f.Name)
			if f.Bytes, err = e.checkTable(ctx, file); err != nil {
				err = damagedFile(file, err)
			} else {
				err = damage[f.Name]
			}
			if err := fn(f, err); err != nil {
				return err
			}
		}
	}
	files, err := e.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if isValues(f.Name) {
			if err := fn(f, damage[f.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Engine) checkTable(ctx context.Context, file string) (size int64, err error) {
	f, err := e.po.FS.Open(file)
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

// checkValues reads all values that do not lie beside their keys: in files of
// their own, and in blocks of old versions, which nothing else in the engine
// checks as a whole. It returns the first damage of each file.
func (e *Engine) checkValues(ctx context.Context) (damage map[string]error, err error) {
	it, err := e.db.NewIter(nil)
	if err != nil {
		return nil, wrap("check values", err)
	}
	damage = map[string]error{}
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		value := it.LazyValue()
		if value.Fetcher == nil {
			continue
		}
		if _, _, err := value.Value(nil); err != nil {
			err = wrap("check values", e.valueError(err))
			of, ok := errors.AsType[*DamageError](err)
			if !ok {
				return nil, errors.Join(err, it.Close())
			}
			if name := path.Base(of.File); damage[name] == nil {
				damage[name] = of
			}
		}
	}
	if err := it.Close(); err != nil && !pebble.IsCorruptionError(err) { // what ends it early is found in its table
		return nil, wrap("check values", err)
	}
	return damage, ctx.Err()
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
