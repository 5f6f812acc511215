package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cleanStopName is the record of how a clean stop left the directory. It is
// there only between a clean stop and the next start.
const cleanStopName = "clean-stop"

// leftFile is a file as a clean stop left it. Tables have checksums of their own
// that are checked whenever they are read.
type leftFile struct {
	name string
	size int64
	sum  uint32 // of all but tables
}

type cleanStop []leftFile

// outdated reports whether the engine ran since without taking the note away, as
// an older version does: every run has a MANIFEST of its own.
func (c cleanStop) outdated(d files) bool {
	noted := func(name string) bool { return slices.ContainsFunc(c, func(f leftFile) bool { return f.name == name }) }
	return slices.ContainsFunc(d.names, func(name string) bool {
		return strings.HasPrefix(name, "marker.manifest.") && !noted(name)
	})
}

// survey notes how the files are now.
func (d files) survey() (cleanStop, error) {
	var all cleanStop
	for _, name := range d.names {
		_, isLog := logNumber(name)
		l := leftFile{name: name}
		switch {
		case isLog || isManifest(name) || isOptions(name):
			b, err := d.read(name)
			if err != nil {
				return nil, err
			}
			l.size, l.sum = int64(len(b)), crc32c(b)
		case isTable(name) || isMarker(name):
			info, err := d.fs.Stat(d.path(name))
			if err != nil {
				return nil, wrap("survey", err)
			}
			l.size = info.Size()
		default:
			continue
		}
		all = append(all, l)
	}
	return all, nil
}

// verify compares the files with what was left.
func (c cleanStop) verify(d files) error {
	now, err := d.survey()
	if err != nil {
		return err
	}
	have := map[string]leftFile{}
	for _, f := range now {
		have[f.name] = f
	}
	for _, was := range c {
		is, ok := have[was.name]
		switch {
		case !ok:
			return damagedFile(d.path(was.name), errors.New("missing"))
		case is.size != was.size:
			return damagedFile(d.path(was.name), fmt.Errorf("%d bytes long, not %d as it was left", is.size, was.size))
		case is.sum != was.sum:
			return damagedFile(d.path(was.name), errors.New("not as it was left: wrong checksum"))
		}
	}
	return nil
}

func (c cleanStop) encode() []byte {
	var b []byte
	for _, f := range c {
		b = fmt.Appendf(b, "%s %d %08x\n", f.name, f.size, f.sum)
	}
	return fmt.Appendf(b, "end %08x\n", crc32c(b))
}

// decodeCleanStop is the inverse; false if b is not whole.
func decodeCleanStop(b []byte) (cleanStop, bool) {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return nil, false
	}
	at := strings.LastIndexByte(string(b[:len(b)-1]), '\n') + 1
	if string(b[at:]) != fmt.Sprintf("end %08x\n", crc32c(b[:at])) {
		return nil, false
	}
	c := cleanStop{}
	for line := range strings.Lines(string(b[:at])) {
		var f leftFile
		if n, err := fmt.Sscanf(line, "%s %d %08x\n", &f.name, &f.size, &f.sum); n != 3 || err != nil {
			return nil, false
		}
		c = append(c, f)
	}
	return c, true
}

// writeCleanStop notes how the directory is left. It appears whole or not at all.
func writeCleanStop(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	d := files{fs: fs, dir: dir, names: names}
	c, err := d.survey()
	if err != nil {
		return err
	}
	tmp := d.path(cleanStopName + ".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(c.encode())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(tmp, d.path(cleanStopName)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}
