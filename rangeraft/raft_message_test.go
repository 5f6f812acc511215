package rangeraft

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	goproto "google.golang.org/protobuf/proto"
)

// Whatever bytes come, decoding means what the general decoder says.
func FuzzDecodeMessage(f *testing.F) {
	entry := &raftpb.Entry{Type: raftpb.EntryConfChangeV2.Enum(), Term: new(uint64(7)), Index: new(uint64(300)), Data: []byte("data")}
	for _, m := range []*raftpb.Message{
		{},
		{Type: raftpb.MsgApp.Enum(), To: new(uint64(1)), From: new(uint64(2)), Term: new(uint64(3)), LogTerm: new(uint64(4)),
			Index: new(uint64(0)), Entries: []*raftpb.Entry{entry, {}, entry}, Commit: new(uint64(5)), Vote: new(uint64(6))},
		{Type: raftpb.MsgAppResp.Enum(), Reject: new(true), RejectHint: new(uint64(1 << 63)), Context: []byte("12345678")},
		{Type: raftpb.MsgSnap.Enum(), Snapshot: &raftpb.Snapshot{Data: []byte("x")}},
		{Type: raftpb.MsgStorageApply.Enum(), Responses: []*raftpb.Message{{Type: raftpb.MsgApp.Enum()}}},
	} {
		b, err := goproto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, b...))
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := &raftpb.Message{}
		wantErr := goproto.Unmarshal(b, want)
		got, err := decodeMessage(b)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, the general decoder says %v", err, wantErr)
		}
		if err == nil && !goproto.Equal(got, want) {
			t.Fatalf("decoded\n%v\nnot\n%v", got, want)
		}
	})
}

// A message without entries is one allocation.
func TestDecodeMessageAllocates(t *testing.T) {
	b, err := goproto.Marshal(&raftpb.Message{Type: raftpb.MsgAppResp.Enum(), To: new(uint64(1)), From: new(uint64(2)),
		Term: new(uint64(3)), Index: new(uint64(4)), Commit: new(uint64(5))})
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		if _, err := decodeMessage(b); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 {
		t.Fatalf("%v allocations", n)
	}
}
