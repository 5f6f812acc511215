package storage

import "go.etcd.io/raft/v3/raftpb"

// tail holds the newest entries of a log in memory. It is contiguous and ends
// at the log's last entry, or is empty with first one after it.
type tail struct {
	first uint64
	ents  []*raftpb.Entry
	bytes int64
}

// entryOverhead is what an entry costs beside its data.
const entryOverhead = 96

func entryBytes(e *raftpb.Entry) int64 { return int64(len(e.GetData())) + entryOverhead }

func (t *tail) at(i uint64) *raftpb.Entry { return t.ents[i-t.first] }

// slice returns [lo, hi) with no room to append into.
func (t *tail) slice(lo, hi uint64) []*raftpb.Entry {
	return t.ents[lo-t.first : hi-t.first : hi-t.first]
}

// append adds entries, replacing everything from their first index on. It
// returns the change in bytes.
func (t *tail) append(ents []*raftpb.Entry) int64 {
	before := t.bytes
	from := ents[0].GetIndex()
	if from <= t.first || from > t.first+uint64(len(t.ents)) {
		t.clear(from)
	}
	t.cut(from)
	t.ents = append(t.ents, ents...)
	for _, e := range ents {
		t.bytes += entryBytes(e)
	}
	return t.bytes - before
}

// cut drops the entries from index on. Readers may hold the array, so what
// follows must not overwrite it.
func (t *tail) cut(index uint64) {
	keep := index - t.first
	if keep == uint64(len(t.ents)) {
		return
	}
	for _, e := range t.ents[keep:] {
		t.bytes -= entryBytes(e)
	}
	t.ents = t.ents[:keep:keep]
}

// clear empties the tail, the next entry being first.
func (t *tail) clear(first uint64) { *t = tail{first: first} }

// dropTo drops the entries up to and including index. It returns the change
// in bytes.
func (t *tail) dropTo(index uint64) int64 {
	before := t.bytes
	n := min(uint64(len(t.ents)), max(index+1, t.first)-t.first)
	for _, e := range t.ents[:n] {
		t.bytes -= entryBytes(e)
	}
	t.ents = t.ents[n:]
	t.first += n
	return t.bytes - before
}

// shrink drops the oldest entries until at most limit bytes are left.
func (t *tail) shrink(limit int64) int64 {
	n, bytes := uint64(0), t.bytes
	for bytes > limit && n < uint64(len(t.ents)) {
		bytes -= entryBytes(t.ents[n])
		n++
	}
	if n == 0 {
		return 0
	}
	return t.dropTo(t.first + n - 1)
}

// limited cuts entries to maxSize bytes, at least one.
func limited(ents []*raftpb.Entry, maxSize uint64) []*raftpb.Entry {
	var size uint64
	for i, e := range ents {
		size += uint64(entryLen(e))
		if i > 0 && size > maxSize {
			return ents[:i:i]
		}
	}
	return ents
}
