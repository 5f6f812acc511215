package storage

import (
	"errors"
	"math"
	"sync"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func appendLog(t testing.TB, e *Engine, id proto.RangeID, ents []*raftpb.Entry, hs *raftpb.HardState) {
	t.Helper()
	b := e.NewBatch()
	check(t, b.AppendLog(id, ents, hs))
	check(t, b.Commit(true))
}

// checkLog compares a log with the entries that it must hold.
func checkLog(t testing.TB, l *Log, truncated LogMark, want []*raftpb.Entry) {
	t.Helper()
	first, last := must(l.FirstIndex())(t), must(l.LastIndex())(t)
	if first != uint64(truncated.Index)+1 || last != uint64(truncated.Index)+uint64(len(want)) {
		t.Fatalf("log is [%d, %d], want %d entries after %d", first, last, len(want), truncated.Index)
	}
	if term := must(l.Term(first - 1))(t); term != uint64(truncated.Term) {
		t.Fatalf("term before the log is %d", term)
	}
	for lo := first; lo <= last; lo++ {
		got := must(l.Entries(lo, last+1, math.MaxUint64))(t)
		if len(got) != int(last+1-lo) {
			t.Fatalf("%d entries from %d", len(got), lo)
		}
		for i, e := range got {
			if !gproto.Equal(e, want[lo-first+uint64(i)]) {
				t.Fatalf("entry %v, want %v", e, want[lo-first+uint64(i)])
			}
		}
		if term := must(l.Term(lo))(t); term != want[lo-first].GetTerm() {
			t.Fatalf("term of %d is %d", lo, term)
		}
	}
	if _, err := l.Entries(first-1, last+1, 1); !errors.Is(err, raft.ErrCompacted) {
		t.Fatal(err)
	}
	if _, err := l.Entries(first, last+2, 1); !errors.Is(err, raft.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := l.Term(last + 1); !errors.Is(err, raft.ErrUnavailable) {
		t.Fatal(err)
	}
	if first > 1 {
		if _, err := l.Term(first - 2); first > 2 && !errors.Is(err, raft.ErrCompacted) {
			t.Fatal(err)
		}
	}
}

// A log holds what was appended, from memory and from disk alike: replaced
// suffixes are gone, truncation takes the beginning, a restart changes nothing.
func TestLog(t *testing.T) {
	for name, cache := range map[string]int64{"memory": 1 << 20, "disk": 1} {
		t.Run(name, func(t *testing.T) {
			fs := NewMemFS()
			open := func() *Engine {
				return must(Open(Options{Dir: "data", FS: fs, LogCacheBytes: cache}))(t)
			}
			e := open()
			createRange(t, e, 3, keys.UserSpan)
			mark := LogMark{Index: bootIndex, Term: bootTerm}
			checkLog(t, e.Log(3), mark, nil)

			want := entries(6, 11, 300)
			appendLog(t, e, 3, want[:100], newHardState(6, 1, 10))
			appendLog(t, e, 3, want[100:], nil)
			checkLog(t, e.Log(3), mark, want)

			want = append(want[:150:150], entries(7, 161, 170)...)
			appendLog(t, e, 3, want[150:], newHardState(7, 2, 10))
			checkLog(t, e.Log(3), mark, want)

			b := e.NewBatch()
			next := e.Log(3).Applied()
			next.Index, next.Term = 100, 6
			must(b.Apply(3, &next, nil))(t)
			check(t, b.TruncateLog(3, 90, 6))
			check(t, b.Commit(false))
			mark, want = LogMark{Index: 90, Term: 6}, want[80:]
			checkLog(t, e.Log(3), mark, want)

			check(t, e.Close())
			e = open()
			checkLog(t, e.Log(3), mark, want)
			hs, cs, err := e.Log(3).InitialState()
			check(t, err)
			// The hard state says commit 10; what was applied was committed.
			if hs.GetTerm() != 7 || hs.GetVote() != 2 || hs.GetCommit() != 100 {
				t.Fatal(hs)
			}
			if len(cs.GetVoters()) != 2 || len(cs.GetLearners()) != 1 {
				t.Fatal(cs)
			}
			meta := must(e.Log(3).Snapshot())(t).GetMetadata()
			if meta.GetIndex() != 100 || meta.GetTerm() != 6 || len(meta.GetConfState().GetVoters()) != 2 {
				t.Fatal(meta)
			}
			check(t, e.Close())
		})
	}
}

func TestLogEntriesMaxSize(t *testing.T) {
	e := must(Open(Options{Dir: "data", FS: NewMemFS(), LogCacheBytes: 10 * (entryOverhead + 20)}))(t)
	defer e.Close()
	createRange(t, e, 3, keys.UserSpan)
	want := entries(6, 11, 60)
	appendLog(t, e, 3, want, nil)
	var size uint64
	for n := 1; n <= len(want); n++ {
		size += uint64(entryLen(want[n-1]))
		if got := must(e.Log(3).Entries(11, 61, size))(t); len(got) != n {
			t.Fatalf("%d entries in %d bytes, want %d", len(got), size, n)
		}
	}
	if got := must(e.Log(3).Entries(11, 61, 0))(t); len(got) != 1 {
		t.Fatalf("%d entries, want one whatever the size", len(got))
	}
}

// One batch may carry several appends to one log and many logs.
func TestLogManyInOneBatch(t *testing.T) {
	fs := NewMemFS()
	e := openFS(t, fs)
	b := e.NewBatch()
	for id := proto.RangeID(1); id <= 20; id++ {
		check(t, b.CreateRange(bootState(id, proto.Span{Start: user("%02d", id), End: user("%02d", id+1)}), 1))
		check(t, b.AppendLog(id, entries(6, 11, 20), nil))
		check(t, b.AppendLog(id, entries(7, 15, 15), newHardState(7, 0, 11)))
	}
	if last := must(e.Log(1).LastIndex())(t); last != 0 {
		t.Fatal("an append shows before its commit")
	}
	check(t, b.Commit(true))
	want := append(entries(6, 11, 14), entries(7, 15, 15)...)
	for range 2 {
		for id := proto.RangeID(1); id <= 20; id++ {
			checkLog(t, e.Log(id), LogMark{Index: bootIndex, Term: bootTerm}, want)
		}
		check(t, e.Close())
		e = openFS(t, fs)
	}
	if got := must(e.Ranges())(t); len(got) != 20 || got[4].ID() != 5 {
		t.Fatal(got)
	}
	check(t, e.Close())
}

// What a reader was given stays as it was when a suffix is replaced (I6).
func TestLogEntriesAreStable(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	appendLog(t, e, 3, entries(6, 11, 20), nil)
	held := must(e.Log(3).Entries(11, 21, math.MaxUint64))(t)
	appendLog(t, e, 3, entries(7, 14, 20), nil)
	for _, ent := range append(held, entries(8, 21, 30)...)[:10] {
		if ent.GetTerm() != 6 {
			t.Fatal("entry changed under its reader:", ent)
		}
	}
	for _, ent := range must(e.Log(3).Entries(14, 21, math.MaxUint64))(t) {
		if ent.GetTerm() != 7 {
			t.Fatal("a reader changed the log:", ent)
		}
	}
}

func TestLogRefusals(t *testing.T) {
	e := openMem(t)
	createRange(t, e, 3, keys.UserSpan)
	appendLog(t, e, 3, entries(6, 11, 20), nil)
	for name, ents := range map[string][]*raftpb.Entry{
		"beyond the end":  entries(6, 22, 22),
		"truncated":       entries(6, 10, 11),
		"hole in between": append(entries(6, 21, 21), entries(6, 23, 23)...),
	} {
		b := e.NewBatch()
		if b.AppendLog(3, ents, nil) == nil {
			t.Errorf("append %s was accepted", name)
		}
		b.Close()
	}
	// I3: not beyond what is applied.
	b := e.NewBatch()
	defer b.Close()
	if b.TruncateLog(3, 15, 6) == nil {
		t.Error("truncation above the applied index was accepted")
	}
}

// Readers may use a log while its one writer appends (I6); entries that they
// hold stay as they were.
func TestLogConcurrentReaders(t *testing.T) {
	e := must(Open(Options{Dir: "data", FS: NewMemFS(), LogCacheBytes: 2000}))(t)
	defer e.Close()
	createRange(t, e, 3, keys.UserSpan)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				first, _ := e.Log(3).FirstIndex()
				last, _ := e.Log(3).LastIndex()
				ents, err := e.Log(3).Entries(first, last+1, math.MaxUint64)
				if err != nil && !errors.Is(err, raft.ErrCompacted) && !errors.Is(err, raft.ErrUnavailable) {
					t.Error(err)
					return
				}
				for i, ent := range ents {
					if ent.GetIndex() != first+uint64(i) {
						t.Errorf("index %d at %d", ent.GetIndex(), first+uint64(i))
					}
				}
			}
		})
	}
	for i := uint64(11); i < 400; i++ {
		b := e.NewBatch()
		check(t, b.AppendLog(3, entries(6+i%3, i, i+i%4), nil))
		next := e.Log(3).Applied()
		next.Index, next.Term = proto.Index(i), 6
		must(b.Apply(3, &next, nil))(t)
		if i%10 == 0 {
			check(t, b.TruncateLog(3, proto.Index(i-5), 6))
		}
		check(t, b.Commit(false))
	}
	close(stop)
	wg.Wait()
}
