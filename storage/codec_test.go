package storage

import (
	"bytes"
	"context"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/storage/keys"
)

func FuzzVersion(f *testing.F) {
	f.Add(appendVersion(nil, &Version{CreateRevision: 7, Version: 2, Lease: -1, Value: []byte("v")}))
	f.Add(appendVersion(nil, &Version{Tombstone: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, again Version
		if decodeVersion(&v, b) != nil {
			return
		}
		if err := decodeVersion(&again, appendVersion(nil, &v)); err != nil || !same(v, again) {
			t.Fatalf("%+v became %+v: %v", v, again, err)
		}
	})
}

func FuzzAppliedState(f *testing.F) {
	f.Add(appendApplied(nil, &AppliedState{Index: 11, Term: 5, Batch: 3, BatchTerm: 5, Closed: 9, Floor: -1, LiveKeys: -1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeApplied(b)
		if err != nil {
			return
		}
		if again, err := decodeApplied(appendApplied(nil, &s)); err != nil || again != s {
			t.Fatalf("%+v became %+v: %v", s, again, err)
		}
	})
}

func FuzzDropState(f *testing.F) {
	f.Add(appendDropState(nil, &dropState{done: 4, doneMark: 1, target: 9, mark: 2, cursor: []byte("\x03k")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeDropState(b)
		if err != nil {
			return
		}
		again, err := decodeDropState(appendDropState(nil, &s))
		if err != nil || again.done != s.done || again.mark != s.mark || !bytes.Equal(again.cursor, s.cursor) {
			t.Fatalf("%+v became %+v: %v", s, again, err)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(uint64(3), appendEntry(nil, entries(6, 3, 3)[0]))
	f.Fuzz(func(t *testing.T, index uint64, b []byte) {
		e, err := decodeEntry(index, b)
		if err != nil {
			return
		}
		out := appendEntry(nil, e)
		if len(out) != entryLen(e) {
			t.Fatalf("%d bytes, promised %d", len(out), entryLen(e))
		}
		again, err := decodeEntry(index, out)
		if err != nil || !gproto.Equal(e, again) {
			t.Fatalf("%v became %v: %v", e, again, err)
		}
	})
}

func TestHardStateCodec(t *testing.T) {
	hs := newHardState(1<<60, 3, 77)
	got, err := decodeHardState(appendHardState(nil, hs))
	if err != nil || !gproto.Equal(got, hs) {
		t.Fatal(got, err)
	}
	if _, err := decodeHardState(appendHardState(nil, &raftpb.HardState{})[:2]); err == nil {
		t.Fatal("short record accepted")
	}
}

// FuzzStream feeds what may be a damaged snapshot: it is refused or staged, and
// the engine does not change.
func FuzzStream(f *testing.F) {
	e := openMem(f)
	createRange(f, e, 3, keys.UserSpan)
	apply(f, e, 3, put("a", 2, 2, 1, "v"), put("b", 3, 3, 1, "w"))
	var buf bytes.Buffer
	must(view(f, e).Export(3, &buf))(f)
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:buf.Len()/2])
	want := must(view(f, e).Checksum(3))(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := e.StageSnapshot(context.Background(), bytes.NewReader(b)); err == nil {
			check(t, s.Discard())
		}
		if got := must(view(t, e).Checksum(3))(t); got != want {
			t.Fatal("the engine changed")
		}
	})
}
