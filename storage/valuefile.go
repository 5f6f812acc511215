package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files of values hold what is too long to be written again by every compaction
// of its key:
//
//	table:  key -> (file, block, which)        file of values:  blocks, index, footer
//
// The engine checks their blocks whenever it reads them. It does not survive a
// file whose end is damaged or which is missing: it panics where it would name the
// file. So the ends are checked here, before the engine sees them, and what is
// missing is looked for at the start.

// Format of the footer: a checksum of the rest, ..., eight bytes of magic.
const valueFooterBytes = 38

// valueFS is a file system that does not open a file of values whose end is
// damaged. Its error does not count as corruption with the engine, which would
// panic, so it tells of it itself.
type valueFS struct {
	vfs.FS
	onDamage func(*DamageError)
}

// Open implements vfs.FS.
func (fs *valueFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err != nil || !isValues(name) {
		return f, err
	}
	if err := checkFooter(f); err != nil {
		damage := &DamageError{File: name, Err: err}
		fs.onDamage(damage)
		return nil, errors.Join(damage, f.Close())
	}
	return f, nil
}

// Unwrap implements vfs.FS.
func (fs *valueFS) Unwrap() vfs.FS { return fs.FS }

func checkFooter(f vfs.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size < valueFooterBytes {
		return fmt.Errorf("only %d bytes are left of it", size)
	}
	var b [valueFooterBytes]byte
	if _, err := f.ReadAt(b[:], size-valueFooterBytes); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if have, want := binary.LittleEndian.Uint32(b[:]), maskedSum(b[4:]); have != want {
		return fmt.Errorf("checksum of its end is %#x, not %#x: it is damaged or cut", have, want)
	}
	return nil
}

// checkPresent looks for the files of values that tables refer to. A file has the
// number that tables know until it is rewritten; then another file stands for it,
// so what is not found by its number is compared by count with what nobody knows.
// Whole files that a crash left behind may so hide that others are missing. The
// engine compacts meanwhile: what is not there must still be wanted afterwards.
func (e *Engine) checkPresent() error {
	wanted, err := e.valueFiles()
	if err != nil || len(wanted) == 0 {
		return err
	}
	names, err := e.po.FS.List(e.opts.Dir)
	if err != nil {
		return wrap("list files", err)
	}
	unknown := 0
	for _, name := range names {
		if isValues(name) && !wanted[name] {
			unknown++
		}
		delete(wanted, name)
	}
	if len(wanted) <= unknown {
		return nil
	}
	still, err := e.valueFiles()
	if err != nil {
		return err
	}
	maps.DeleteFunc(wanted, func(name string, _ bool) bool { return !still[name] })
	if len(wanted) <= unknown {
		return nil
	}
	missing := slices.Sorted(maps.Keys(wanted))
	return damagedFile(e.po.FS.PathJoin(e.opts.Dir, missing[0]), fmt.Errorf("of %d files of values at least %d are missing", len(missing), len(missing)-unknown))
}

// valueFiles are the names of the files of values that tables refer to, as the
// tables know them.
func (e *Engine) valueFiles() (map[string]bool, error) {
	levels, err := e.db.SSTables()
	if err != nil {
		return nil, wrap("list tables", err)
	}
	names := map[string]bool{}
	for _, level := range levels {
		for _, table := range level {
			for _, id := range table.GetBlobReferenceFiles() {
				names[fmt.Sprintf("%06d.blob", uint64(id))] = true
			}
		}
	}
	return names, nil
}

// valueOf reads the value under an iterator, which is good until the iterator
// moves.
func (e *Engine) valueOf(it *pebble.Iterator) (b []byte, err error) {
	defer func() {
		// The engine has no better way to tell that a file of values is missing.
		if p := recover(); p == "unknown metadata type: <nil>" {
			err = e.damagedValues("*.blob", errors.New("a file of values that a table refers to is missing"))
		} else if p != nil {
			panic(p)
		}
	}()
	b, err = it.ValueAndErr()
	return b, e.valueError(err)
}

// valueError tells of a damaged block of values, whose file the engine names by
// its number only and tells nobody of.
func (e *Engine) valueError(err error) error {
	if err == nil || !pebble.IsCorruptionError(err) || pebble.ExtractDataCorruptionInfo(err) != nil {
		return err
	}
	name := "*.blob"
	if m := blockOfFile.FindStringSubmatch(err.Error()); m != nil {
		name = m[1] + ".blob"
		if _, err := e.po.FS.Stat(e.po.FS.PathJoin(e.opts.Dir, name)); err != nil {
			name = m[1] + ".sst"
		}
	}
	return e.damagedValues(name, err)
}

var blockOfFile = regexp.MustCompile(`file (\d+): block `)

func (e *Engine) damagedValues(name string, err error) error {
	damage := &DamageError{File: e.po.FS.PathJoin(e.opts.Dir, name), Err: err}
	e.tell(damage)
	return damage
}

// tell tells of damage: in the log, and to whom it concerns.
func (e *Engine) tell(err *DamageError) {
	e.log.Error("engine damaged", "file", err.File, "err", err.Err)
	if e.opts.OnDamage != nil {
		e.opts.OnDamage(err)
	}
}
