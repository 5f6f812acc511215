package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// diskImage is the content of an engine's directory.
type diskImage map[string][]byte

func imageOf(t testing.TB, fs *FS) diskImage {
	t.Helper()
	img := diskImage{}
	for _, name := range must(fs.List("data"))(t) {
		f, err := fs.Open(path.Join("data", name))
		check(t, err)
		img[name] = must(io.ReadAll(f))(t)
		check(t, f.Close())
	}
	return img
}

// disk returns a file system that holds the image.
func (img diskImage) disk(t testing.TB) *FS {
	t.Helper()
	fs := NewMemFS()
	check(t, fs.MkdirAll("data", 0o755))
	for name, b := range img {
		f, err := fs.Create(path.Join("data", name), vfs.WriteCategoryUnspecified)
		check(t, err)
		_, err = f.Write(bytes.Clone(b)) // with the race detector what is written is overwritten
		check(t, errors.Join(err, f.Close()))
	}
	return fs
}

// with is the image with one file changed; nil takes it away.
func (img diskImage) with(name string, b []byte) diskImage {
	next := diskImage{}
	for n, have := range img {
		next[n] = have
	}
	if delete(next, name); b != nil {
		next[name] = b
	}
	return next
}

// acknowledged is what an engine was told, in order: put i is at revision i+2.
type acknowledged []string

const damageKeys = 150

func (a acknowledged) put(i int) (key, value string) {
	return fmt.Sprintf("k%03d", i*7%damageKeys), a[i]
}

// state is what reads after the first n puts find.
func (a acknowledged) state(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		k, v := a.put(i)
		m[k] = v
	}
	return m
}

// writeAcknowledged writes as a replica does, every put durable: its log entry, then the
// apply. Tables, compacted and not, logs and several MANIFEST records come of it.
func writeAcknowledged(t testing.TB, e *Engine) acknowledged {
	t.Helper()
	check(t, e.SetIdent(Ident{ClusterID: 1, NodeID: 7}))
	createRange(t, e, 3, keys.UserSpan)
	var acked acknowledged
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 900 {
		value := make([]byte, 40+r.IntN(400))
		if i%9 == 0 { // in a file of values
			value = make([]byte, separateBytes+r.IntN(400))
		}
		for j := range value {
			value[j] = byte('a' + r.IntN(26))
		}
		acked = append(acked, string(value))
		k, v := acked.put(i)
		state := e.Log(3).Applied()
		state.Index++
		state.Term = bootTerm
		b := e.NewBatch()
		check(t, b.AppendLog(3, entries(bootTerm, uint64(state.Index), uint64(state.Index)), nil))
		must(b.Apply(3, &state, []*pontoonpb.Effect{put(k, int64(i+2), int64(i+2), 1, v)}))(t)
		check(t, b.Commit(true))
		if i == 300 || i == 500 || i == 700 {
			check(t, e.db.Flush())
		}
		if i == 600 {
			check(t, e.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
		}
	}
	return acked
}

// readBack reads everything in every way and returns the keys found, or the
// first error.
func readBack(e *Engine) (map[string]string, error) {
	v, err := e.NewView()
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	if _, ok, err := e.Ident(); err != nil || !ok { // the node refuses to start
		return nil, errors.Join(err, damagedFile("data/", errors.New("no ident")), v.Close())
	}
	err = v.Scan(keys.UserSpan, Latest, ScanOptions{}, func(ver *Version) (bool, error) {
		k, _ := keys.UserKey(ver.Key)
		found[string(k)] = string(ver.Value)
		return true, nil
	})
	for i := 0; err == nil && i < damageKeys; i++ {
		k := fmt.Sprintf("k%03d", i)
		var ver Version
		var ok bool
		if ver, ok, err = v.Get(user("%s", k), Latest); err == nil && ok != (found[k] != "") || string(ver.Value) != found[k] {
			err = errors.Join(err, fmt.Errorf("get and scan differ at %s", k))
		}
	}
	if err == nil {
		err = v.Changes(keys.UserSpan, 1, Latest, func(*Version) (bool, error) { return true, nil })
	}
	l := e.Log(3)
	if err == nil {
		first, _ := l.FirstIndex()
		last, _ := l.LastIndex()
		_, err = l.Entries(first, last+1, 1<<40)
	}
	return found, errors.Join(err, v.Close())
}

// outcome of starting on a damaged disk.
type outcome struct {
	refused error // by Open
	failed  error // by a read
	found   map[string]string
}

func startOn(t testing.TB, img diskImage) (o outcome) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			o.refused = fmt.Errorf("panic: %v", p)
		}
	}()
	e, err := Open(Options{Dir: "data", FS: img.disk(t), MemtableBytes: 1 << 20, CacheBytes: 4 << 20})
	if err != nil {
		return outcome{refused: err}
	}
	o.found, o.failed = readBack(e)
	e.Close()
	return o
}

// kindOf is what a file is for.
func kindOf(name string) string {
	switch {
	case isManifest(name):
		return "MANIFEST"
	case isMarker(name):
		return "marker"
	case isTable(name):
		return "table"
	case isOptions(name):
		return "OPTIONS"
	case strings.HasSuffix(name, ".log"):
		return "log"
	}
	return name
}

// damages are ways to change a file, by what was done.
func damages(name string, b []byte, r *rand.Rand, n int) map[string][]byte {
	all := map[string][]byte{"missing": nil}
	if len(b) == 0 {
		return all
	}
	at := []int{0, len(b) / 2, len(b) - 1}
	for range n {
		at = append(at, r.IntN(len(b)), len(b)-1-r.IntN(min(len(b), 600)))
	}
	for _, i := range at {
		bit := r.IntN(8)
		flipped := bytes.Clone(b)
		flipped[i] ^= 1 << bit
		all[fmt.Sprintf("bit %d of byte %d flipped", bit, i)] = flipped
		all[fmt.Sprintf("cut to %d bytes", i)] = b[:i:i]
	}
	return all
}

// What is damaged is found at the latest when it is read after a clean stop:
// whatever was done to whichever file, a start is refused, or a read fails, with
// the file's name, or everything is served as it was.
func TestDamageAfterCleanStop(t *testing.T) {
	t.Parallel()
	fs := NewMemFS()
	e := openFS(t, fs)
	acked := writeAcknowledged(t, e)
	check(t, e.Close())
	img := imageOf(t, fs)
	want := acked.state(len(acked))
	eachDamage(t, img, func(name, what string, o outcome) {
		switch {
		case o.refused != nil || o.failed != nil:
			err := errors.Join(o.refused, o.failed)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "data/") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		case !sameState(o.found, want):
			t.Errorf("%s, %s: serves something else, %d keys", name, what, len(o.found))
		}
	})
}

// The same holds after a crash, but for the very end of the newest log.
func TestDamageAfterCrash(t *testing.T) {
	t.Parallel()
	fs := NewCrashableMemFS()
	e := openFS(t, fs)
	acked := writeAcknowledged(t, e)
	img := imageOf(t, fs.CrashClone(100, 1)) // as a killed process leaves it, at one moment
	check(t, e.Close())
	newest := ""
	for name := range img {
		if kindOf(name) == "log" {
			newest = max(newest, name)
		}
	}
	eachDamage(t, img, func(name, what string, o outcome) {
		if err := errors.Join(o.refused, o.failed); err != nil {
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "data/") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			return
		}
		// What no later record says was synced may have been torn by the crash: the
		// newest log may be short, and its last records damaged.
		have, least := prefixOf(o.found, acked), len(acked)
		if name == newest && (strings.HasPrefix(what, "cut") || strings.HasPrefix(what, "missing")) {
			least = 0
		} else if name == newest {
			least -= 2 // a sync that just ended may not be known to the next record yet
		}
		if have < least {
			t.Errorf("%s, %s: serves %d of %d", name, what, have, len(acked))
		}
	})
}

// A damaged block that is read while the engine runs is told to whom it concerns,
// and what was in it is not served; other reads go on.
func TestDamageWhileRunning(t *testing.T) {
	t.Parallel()
	fs := NewMemFS()
	e := openFS(t, fs)
	acked := writeAcknowledged(t, e)
	check(t, e.db.Flush())
	check(t, e.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
	check(t, e.Close())
	img := imageOf(t, fs)
	want := acked.state(len(acked))
	right, failed := map[string]int{}, map[string]int{}
	for _, name := range inUse(t, img) {
		for _, at := range []int{100, len(img[name]) / 2} {
			bad := bytes.Clone(img[name])
			bad[at] ^= 4
			r, f := readDamaged(t, img.with(name, bad), "data/"+name, want)
			right[path.Ext(name)] += r
			failed[path.Ext(name)] += f
			checkFinds(t, img.with(name, bad), name)
		}
	}
	for _, ext := range []string{".sst", ".blob"} {
		if right[ext] == 0 || failed[ext] == 0 {
			t.Errorf("%s: %d reads were right, %d failed", ext, right[ext], failed[ext])
		}
	}
}

// inUse are the tables and files of values that reads may come to.
func inUse(t *testing.T, img diskImage) (names []string) {
	t.Helper()
	e := must(Open(Options{Dir: "data", FS: img.disk(t), MemtableBytes: 1 << 20, CacheBytes: 4 << 20, ReadOnly: true}))(t)
	for _, level := range must(e.db.SSTables())(t) {
		for _, table := range level {
			names = append(names, table.BackingSSTNum.String()+".sst")
		}
	}
	names = slices.AppendSeq(names, maps.Keys(must(e.valueFiles())(t)))
	check(t, e.Close())
	slices.Sort(names)
	return slices.Compact(names)
}

// refused tells whether the start was refused, for the damaged file, with which no
// record of the engine itself could be read.
func refused(t *testing.T, err error, file string) bool {
	t.Helper()
	if err != nil && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file)) {
		t.Fatal(err)
	}
	return err != nil
}

// checkFinds lets CheckTables find the one damaged file.
func checkFinds(t *testing.T, img diskImage, damaged string) {
	t.Helper()
	e, err := Open(Options{Dir: "data", FS: img.disk(t), MemtableBytes: 1 << 20, CacheBytes: 4 << 20, ReadOnly: true})
	if refused(t, err, damaged) {
		return
	}
	found, values := []string{}, 0
	check(t, e.CheckTables(t.Context(), func(f FileUse, err error) error {
		if isValues(f.Name) {
			values++
		}
		if err != nil {
			found = append(found, f.Name)
		}
		return nil
	}))
	check(t, e.Close())
	if values == 0 || !slices.Equal(found, []string{damaged}) {
		t.Errorf("damaged is %s, CheckTables found %v, in %d files of values", damaged, found, values)
	}
}

func readDamaged(t *testing.T, img diskImage, file string, want map[string]string) (right, failed int) {
	t.Helper()
	var told []*DamageError
	e, err := Open(Options{Dir: "data", FS: img.disk(t), MemtableBytes: 1 << 20, CacheBytes: 4 << 20, OnDamage: func(err *DamageError) { told = append(told, err) }})
	if refused(t, err, file) {
		return 0, 0
	}
	for k, value := range want {
		v, ok, err := e.Get(user("%s", k), Latest)
		switch {
		case err != nil:
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %v", k, err)
			}
			failed++
		case !ok || string(v.Value) != value:
			t.Errorf("%s is %v %q", k, ok, v.Value)
		default:
			right++
		}
	}
	check(t, e.Close())
	if failed > 0 && (len(told) == 0 || told[0].File != file || !errors.Is(told[0], ErrDamaged)) {
		t.Errorf("told %v", told)
	}
	return right, failed
}

// How a clean stop leaves the directory is told from what a crash leaves.
func TestCleanStopIsNotedOnce(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	check(t, e.Close())
	noted := func() bool {
		_, err := fs.Stat("data/" + cleanStopName)
		return err == nil
	}
	if !noted() {
		t.Fatal("a clean stop left no note")
	}
	e = must(Open(Options{Dir: "data", FS: fs, ReadOnly: true}))(t)
	check(t, e.Close())
	if !noted() {
		t.Fatal("reading alone took the note away")
	}
	e = openFS(t, fs)
	if noted() {
		t.Fatal("the note is there while the engine runs")
	}
	check(t, e.Close())
	// A version that knows nothing of notes leaves an old one.
	old := imageOf(t, fs)[cleanStopName]
	check(t, openFS(t, fs).Close())
	img := imageOf(t, fs)
	check(t, openFS(t, img.with(cleanStopName, old).disk(t)).Close())
}

func FuzzCleanStop(f *testing.F) {
	f.Add(cleanStop{{"000004.log", 7, 9}, {"MANIFEST-000001", 1, 2}}.encode())
	f.Add([]byte("end 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := decodeCleanStop(b); ok && !bytes.Equal(c.encode(), b) {
			t.Fatalf("%q is read as %v", b, c)
		}
	})
}

// Whatever the bytes, the end is found, and is an error or is not.
func FuzzRecordFile(f *testing.F) {
	f.Add([]byte("some"), uint32(3), true)
	f.Add(make([]byte, recordBlock+20), uint32(0), false)
	f.Fuzz(func(t *testing.T, b []byte, log uint32, wal bool) {
		r := recordFile{b: b, log: log, wal: wal}
		if end := r.follow(); end < 0 || end > len(b) {
			t.Fatal(end)
		}
		r.check()
	})
}

func eachDamage(t *testing.T, img diskImage, judge func(name, what string, o outcome)) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	counts := map[string]map[string]int{}
	for _, name := range slices.Sorted(mapsKeys(img)) {
		for what, b := range damages(name, img[name], r, 8) {
			o := startOn(t, img.with(name, b))
			kind := kindOf(name)
			if counts[kind] == nil {
				counts[kind] = map[string]int{}
			}
			switch {
			case o.refused != nil:
				counts[kind]["refused"]++
			case o.failed != nil:
				counts[kind]["read failed"]++
			default:
				counts[kind]["served"]++
			}
			judge(name, what, o)
		}
	}
	for kind, c := range counts {
		t.Log(kind, c)
	}
}

func mapsKeys(img diskImage) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range img {
			if !yield(k) {
				return
			}
		}
	}
}

func sameState(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// prefixOf returns after how many puts the state was what was found, -1 if never.
func prefixOf(found map[string]string, acked acknowledged) int {
	for n := len(acked); n >= 0; n-- {
		if sameState(found, acked.state(n)) {
			return n
		}
	}
	return -1
}
