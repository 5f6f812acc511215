package storage

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func TestComparer(t *testing.T) {
	var prefixes, suffixes [][]byte
	for _, k := range []string{"", "a", "a\x00", "a\x00b", "ab", "b\xff", "\xff\xff"} {
		prefixes = append(prefixes, enginekey.Append(nil, enginekey.Versions, []byte(k)))
	}
	for _, rev := range []proto.Revision{0, 1, 255, 256, math.MaxInt64} {
		for _, sub := range []int64{0, 1, 256, enginekey.MaxSub} {
			suffixes = append(suffixes, enginekey.AppendPosition(nil, rev, sub))
		}
	}
	suffixes = append(suffixes, []byte("txn\x04"), []byte("longer-than-a-number\x15"))
	check(t, pebble.CheckComparer(comparer, prefixes, suffixes))
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no dir": {}, "cache": {Dir: "d", CacheBytes: -1}, "memtable": {Dir: "d", MemtableBytes: 1}, "log cache": {Dir: "d", LogCacheBytes: -1},
	} {
		if o.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	check(t, Options{Dir: "d"}.WithDefaults().Validate())
}

func TestIdent(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	if _, ok, err := e.Ident(); ok || err != nil {
		t.Fatal(ok, err)
	}
	id := Ident{ClusterID: 1 << 63, NodeID: 42}
	check(t, e.SetIdent(id))
	check(t, e.SetIdent(id))
	check(t, e.Close())

	e = openFS(t, fs)
	defer e.Close()
	if got, ok, err := e.Ident(); !ok || err != nil || got != id {
		t.Fatal(got, ok, err)
	}
	var refused *IdentError
	if err := e.SetIdent(Ident{ClusterID: 1, NodeID: 42}); !errors.As(err, &refused) || refused.Have != id {
		t.Fatal(err)
	}
}

func TestOpenRefusesNewerFormat(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	check(t, e.db.Set(formatKey, binary.AppendUvarint(nil, Format+1), pebble.Sync))
	check(t, e.Close())
	_, err := Open(Options{Dir: "data", FS: fs})
	var refused *FormatError
	if !errors.As(err, &refused) || refused.Have != Format+1 {
		t.Fatal(err)
	}
	// The directory was let go.
	if _, err := Open(Options{Dir: "data", FS: fs}); errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
}

func TestOpenLocked(t *testing.T) {
	dir := t.TempDir()
	e := must(Open(Options{Dir: dir}))(t)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	check(t, e.Close())
	check(t, must(Open(Options{Dir: dir}))(t).Close())
}

func TestOpenDamaged(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	createRange(t, e, 3, keys.UserSpan)
	check(t, e.db.Set(enginekey.AppendRange(nil, 3, enginekey.Applied), []byte{stateFormat, 0x80}, pebble.Sync))
	check(t, e.Close())
	if _, err := Open(Options{Dir: "data", FS: fs}); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	fs := NewMemFS()
	if _, err := Open(Options{Dir: "data", FS: fs, ReadOnly: true}); err == nil {
		t.Fatal("opened a directory that does not exist")
	}
	e := openFS(t, fs)
	createRange(t, e, 3, keys.UserSpan)
	apply(t, e, 3, put("a", 2, 2, 1, "v"))
	check(t, e.Close())
	e = must(Open(Options{Dir: "data", FS: fs, ReadOnly: true}))(t)
	if v, ok, err := e.Get(user("a"), Latest); !ok || err != nil || string(v.Value) != "v" {
		t.Fatal(v, ok, err)
	}
	check(t, e.Close())
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	e := must(Open(Options{Dir: "data", FS: NewMemFS(), Registerer: reg}))(t)
	check(t, e.Sync())
	got := must(reg.Gather())(t)
	// The engine's collector has the syncs beside the figures.
	if want := len(figures) + len(e.metrics.collectors()); len(got) != want {
		t.Fatalf("%d metrics, want %d", len(got), want)
	}
	check(t, e.Close())
	if got := must(reg.Gather())(t); len(got) != 0 {
		t.Fatalf("%d metrics left after Close", len(got))
	}
}
