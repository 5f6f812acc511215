package etcdfile

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
)

// save writes a finished file as a client of Snapshot does: the database and
// its checksum.
func save(t testing.TB, w *Writer, path string) {
	t.Helper()
	var db bytes.Buffer
	if err := w.Read(func(size int64, from io.WriterTo) error {
		n, err := from.WriteTo(&db)
		if err == nil && n != size {
			err = fmt.Errorf("%d bytes of %d", n, size)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(db.Bytes())
	if err := os.WriteFile(path, append(db.Bytes(), sum[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func version(t testing.TB, w *Writer, rev proto.Revision, sub int64, kv *mvccpb.KeyValue, tombstone bool) {
	t.Helper()
	value, err := gproto.Marshal(kv)
	if err == nil {
		err = w.Version(AppendVersionKey(nil, rev, sub, tombstone), value)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sample() *Contents {
	return &Contents{
		Revision: 9, Floor: 4, Term: 7,
		Leases: []Lease{{ID: 5, TTL: 60}, {ID: 1 << 62, TTL: 10, Remaining: 3}},
		Auth: Auth{Enabled: true, Revision: 12,
			Users: map[string][]byte{"root": []byte("user")}, Roles: map[string][]byte{"r": []byte("role")}},
		Members: []Member{{ID: 0xabc, PeerURLs: []string{"http://a:1"}, Name: "n1", ClientURLs: []string{"http://a:2"}}},
		Removed: []proto.NodeID{7},
	}
}

// sampleFile has a put and a deletion, and a newest change below the revision.
func sampleFile(t testing.TB) string {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	version(t, w, 4, 0, &mvccpb.KeyValue{Key: []byte("a"), Value: []byte("1"), CreateRevision: 3, ModRevision: 4, Version: 2, Lease: 5}, false)
	version(t, w, 6, 0, &mvccpb.KeyValue{Key: []byte("b")}, true)
	version(t, w, 6, 1, &mvccpb.KeyValue{Key: []byte("c"), CreateRevision: 6, ModRevision: 6, Version: 1}, false)
	if err := w.Finish(sample()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup")
	save(t, w, path)
	return path
}

func TestRoundTrip(t *testing.T) {
	path := sampleFile(t)
	if _, err := Verify(path, false, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	if err := f.Versions(func(v Version) error {
		got = append(got, fmt.Sprintf("%s@%d.%d %v %d", v.KV.Key, v.Revision, v.Sub, v.Tombstone, v.KV.Lease))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a@4.0 false 5", "b@6.0 true 0", "c@6.1 false 0"}; !reflect.DeepEqual(got, want) {
		t.Errorf("versions %q, want %q", got, want)
	}
	c, err := f.Contents()
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Term, want.Members, want.Removed = 0, nil, nil // a restore forgets them
	if !reflect.DeepEqual(c, want) {                    // the revision too, although no change has it (I2)
		t.Errorf("contents %+v, want %+v", c, want)
	}
}

// I1: many batches of versions in order fill their pages; out of order is
// refused.
func TestPagesAreFilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var data int64
	value := bytes.Repeat([]byte("v"), 900)
	for rev := proto.Revision(2); data < 3*batchBytes; rev++ {
		if err := w.Version(AppendVersionKey(nil, rev, 0, false), value); err != nil {
			t.Fatal(err)
		}
		data += int64(len(value))
	}
	if err := w.Version(AppendVersionKey(nil, 2, 0, false), value); err == nil {
		t.Error("a version out of order was taken")
	}
	if err := w.Finish(&Contents{Revision: 1 << 40, Floor: proto.NeverCompacted}); err != nil {
		t.Fatal(err)
	}
	if err := w.Read(func(size int64, _ io.WriterTo) error {
		if size > data*5/4 {
			t.Errorf("%d bytes of values make a file of %d", data, size)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// I3: what is torn, damaged or somebody else's is refused with a reason.
func TestBadFilesAreRefused(t *testing.T) {
	good, err := os.ReadFile(sampleFile(t))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	foreign := filepath.Join(t.TempDir(), "foreign")
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		skip bool
		want string
	}{
		"empty":              {nil, false, "missing hash"},
		"torn":               {good[:len(good)-100], false, "missing hash"},
		"torn at a page":     {append(bytes.Clone(good[:8192]), good[len(good)-32:]...), false, "expected sha256"},
		"damaged":            {flipped, false, "expected sha256"},
		"without checksum":   {good[:len(good)-32], false, "missing hash"},
		"unchecked, torn":    {good[:len(good)-100], true, "torn"},
		"unchecked, a page":  {good[:8192], true, "ends after"},
		"unchecked, no bolt": {make([]byte, 8192), true, "not a backup"},
		"unchecked, foreign": {other, true, "no bucket"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(path, c.skip, nil)
		if err == nil {
			var f *File
			if f, err = Open(path, c.skip); err == nil {
				f.Close()
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x02_\x00\x00\x00\x00\x00\x00\x00\x00t"), []byte("\n\x01a"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if v, err := decodeVersion(key, value); err == nil {
			if again := AppendVersionKey(nil, v.Revision, v.Sub, v.Tombstone); !bytes.Equal(again, key) {
				t.Errorf("%x is read as %x", key, again)
			}
		}
		if l, err := decodeLease(value); err == nil {
			if again, err := decodeLease(l.encode()); err != nil || again != l {
				t.Errorf("%+v is read as %+v, %v", l, again, err)
			}
		}
	})
}
