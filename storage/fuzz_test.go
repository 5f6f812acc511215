package storage

import (
	"bytes"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// FuzzRangeRecords reads what may be any of the records of a range: what is
// understood survives.
func FuzzRangeRecords(f *testing.F) {
	f.Add(appendHardState(nil, newHardState(3, 2, 1)))
	f.Add(appendMark(nil, LogMark{Index: 7, Term: 8}))
	desc, err := descriptor(3, keys.UserSpan).MarshalVT()
	check(f, err)
	f.Add(desc)
	f.Fuzz(func(t *testing.T, b []byte) {
		if hs, err := decodeHardState(b); err == nil {
			again, err := decodeHardState(appendHardState(nil, hs))
			if err != nil || again.GetTerm() != hs.GetTerm() || again.GetVote() != hs.GetVote() || again.GetCommit() != hs.GetCommit() {
				t.Errorf("%v became %v, %v", hs, again, err)
			}
		}
		if m, err := decodeMark(b); err == nil {
			if again, err := decodeMark(appendMark(nil, m)); err != nil || again != m {
				t.Errorf("%v became %v, %v", m, again, err)
			}
		}
		if d, err := decodeDescriptor(b); err == nil {
			ConfState(d)
			cloneDescriptor(d)
		}
	})
}

// FuzzApply applies what may be any entry's effects: they are refused, or
// applied as a whole.
func FuzzApply(f *testing.F) {
	for _, effects := range [][]*pontoonpb.Effect{
		{put("a", 2, 2, 1, "v"), del("b", 2)}, {setFloor(5)}, {{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT, Space: pontoonpb.Space_SPACE_SYS, Key: keys.SequencerLimit, Value: []byte("12345678")}},
		{{Kind: pontoonpb.EffectKind_EFFECT_DELETE_SPAN, Key: user("a"), Rev: 9}},
	} {
		b, err := (&pontoonpb.Command{Effects: effects}).MarshalVT()
		check(f, err)
		f.Add(b)
	}
	e := openMem(f)
	createRange(f, e, 3, keys.UserSpan)
	f.Fuzz(func(t *testing.T, raw []byte) {
		cmd := &pontoonpb.Command{}
		if cmd.UnmarshalVT(raw) != nil {
			return
		}
		b := e.NewBatch()
		defer b.Close()
		next := e.Log(3).Applied()
		next.Index++
		b.Apply(3, &next, cmd.Effects) // not committed: cases do not depend on each other
	})
}

// FuzzSnapshotRecords gives a raft snapshot any records, in chunks whose checksums
// are right.
func FuzzSnapshotRecords(f *testing.F) {
	key := versionKey(user("a"), 2)
	f.Add(appendBytes(appendBytes(nil, key), appendVersion(nil, &Version{CreateRevision: 2, Version: 1, Value: []byte("v")})), []byte{1}, true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, []byte{0}, false)
	e := openMem(f)
	createRange(f, e, 3, keys.UserSpan)
	f.Fuzz(func(t *testing.T, records, end []byte, header bool) {
		var buf bytes.Buffer
		c := chunkWriter{w: &buf}
		if header {
			check(t, c.header(descriptor(4, keys.UserSpan), &AppliedState{Index: 9, Term: 9}))
		}
		check(t, c.write(chunkRecords, records))
		check(t, c.write(chunkEnd, end))
		if s, err := e.StageSnapshot(t.Context(), &buf); err == nil {
			check(t, s.Discard())
		}
	})
}

// FuzzLogEntry stores any entry and reads it back.
func FuzzLogEntry(f *testing.F) {
	f.Add(int32(0), uint64(5), []byte("data"))
	f.Fuzz(func(t *testing.T, kind int32, term uint64, data []byte) {
		typ := raftpb.EntryType(kind)
		b := appendEntry(nil, &raftpb.Entry{Type: &typ, Term: &term, Data: data})
		e, err := decodeEntry(9, b)
		if err != nil {
			return
		}
		if e.GetTerm() != term || !bytes.Equal(e.GetData(), data) || uint8(e.GetType()) != uint8(typ) {
			t.Fatalf("%d %d %q became %v", kind, term, data, e)
		}
	})
}
