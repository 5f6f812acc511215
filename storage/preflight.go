package storage

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// preflight looks for damage that the engine would take for the end of a file
// and forget what comes after it, before the engine deletes what it thinks is
// left over. After a clean stop everything must be as it was left; after a crash
// the files must end as a crash can leave them.
//
// What a crash may have torn and what was damaged afterwards look the same only
// at the very end: log records that no later record says were synced, and a file
// that ends earlier than it did.
func preflight(fs vfs.FS, dir string, readOnly bool) error {
	names, err := fs.List(dir)
	if err != nil {
		return wrap("open "+dir, err)
	}
	slices.Sort(names)
	d := files{fs: fs, dir: dir, names: names}
	if !slices.Contains(names, cleanStopName) {
		return d.afterCrash()
	}
	b, err := d.read(cleanStopName)
	if err != nil {
		return err
	}
	if left, ok := decodeCleanStop(b); ok && !left.outdated(d) {
		err = left.verify(d)
	} else { // damaged itself, or of another life
		err = d.afterCrash()
	}
	if err != nil || readOnly {
		return err
	}
	return d.remove(cleanStopName) // before anything changes
}

// files are those of an engine's directory.
type files struct {
	fs    vfs.FS
	dir   string
	names []string
}

// logNumber is the number of a write-ahead log by its file's name.
func logNumber(name string) (uint64, bool) {
	base, ok := strings.CutSuffix(name, ".log")
	if !ok {
		return 0, false
	}
	base, _, _ = strings.Cut(base, "-") // segments of one log
	n, err := strconv.ParseUint(base, 10, 64)
	return n, err == nil
}

func isTable(name string) bool    { return path.Ext(name) == ".sst" || isValues(name) }
func isValues(name string) bool   { return path.Ext(name) == ".blob" }
func isManifest(name string) bool { return strings.HasPrefix(name, "MANIFEST-") }
func isOptions(name string) bool  { return strings.HasPrefix(name, "OPTIONS-") }
func isMarker(name string) bool   { return strings.HasPrefix(name, "marker.") }

func (d files) path(name string) string { return d.fs.PathJoin(d.dir, name) }

func (d files) read(name string) ([]byte, error) {
	f, err := d.fs.Open(d.path(name))
	if err != nil {
		return nil, wrap("read "+d.path(name), err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return b, wrap("read "+d.path(name), err)
}

// remove takes a file away durably.
func (d files) remove(name string) error {
	if err := d.fs.Remove(d.path(name)); err != nil {
		return wrap("remove "+d.path(name), err)
	}
	return wrap("remove "+d.path(name), syncDir(d.fs, d.dir))
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// afterCrash checks that nothing is missing and the ends of the MANIFEST and of
// the write-ahead logs.
func (d files) afterCrash() error {
	current, err := d.marked("manifest")
	if err != nil {
		return err
	}
	if current != "" {
		if err := d.checkRecords(current, recordFile{}); err != nil {
			return err
		}
	}
	logs := 0
	for _, name := range d.names {
		if n, ok := logNumber(name); ok {
			logs++
			if err := d.checkRecords(name, recordFile{log: uint32(n), wal: true}); err != nil {
				return err
			}
		}
		if isOptions(name) {
			if err := d.checkOptions(name); err != nil {
				return err
			}
		}
	}
	if logs == 0 && slices.ContainsFunc(d.names, isTable) {
		return damagedFile(d.path("*.log"), errors.New("missing: there always is a write-ahead log"))
	}
	_, err = d.marked("format-version")
	return err
}

// marked returns what a marker says; it is in its name. Where it does not exist
// there must be no tables: the creation of a directory may be cut off.
func (d files) marked(marker string) (string, error) {
	value, err := atomicfs.ReadMarker(d.fs, d.dir, marker)
	if err != nil {
		return "", damagedFile(d.path("marker."+marker+".*"), err)
	}
	if i := slices.IndexFunc(d.names, isTable); value == "" && i >= 0 {
		return "", damagedFile(d.path("marker."+marker+".*"), fmt.Errorf("missing, while %s is there", d.names[i]))
	}
	return value, nil
}

func (d files) checkRecords(name string, f recordFile) error {
	b, err := d.read(name)
	if err == nil {
		f.b = b
		err = f.check()
	}
	if err != nil {
		return damagedFile(d.path(name), err)
	}
	return nil
}

// checkOptions looks at a file that the engine reads to compare it with what it
// is given; it appears whole or not at all.
func (d files) checkOptions(name string) error {
	b, err := d.read(name)
	if err != nil {
		return damagedFile(d.path(name), err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		section := strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]")
		if line != "" && !section && !strings.Contains(line, "=") {
			return damagedFile(d.path(name), fmt.Errorf("line %q is not understood", line))
		}
	}
	return nil
}
