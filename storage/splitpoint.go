package storage

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// What a scan for the middle of a span may cost, in records and in bytes read.
// Above that much, the tables' own indexes know better where the middle is.
// Values in files of their own are not read, only their lengths are, and tables
// that refer to them are small, so that their indexes know little.
const (
	maxMiddleRecords = 200_000
	maxMiddleBytes   = 32 << 20
)

// MiddleKey returns an internal key with about half of the span's bytes on
// either side, estimated at a bounded cost; false if the span has fewer than two
// keys. There is data before the key and from it on, and it is a whole key:
// never between the versions of one.
func (e *Engine) MiddleKey(span proto.Span) ([]byte, bool, error) {
	if span.Empty() {
		return nil, false, nil
	}
	for _, t := range []enginekey.Tag{enginekey.Versions, enginekey.Sys} {
		key, ok, err := e.middleOf(t, span)
		if err != nil || ok {
			return key, ok, err
		}
	}
	return nil, false, nil
}

// middleOf is MiddleKey of one space.
func (e *Engine) middleOf(t enginekey.Tag, span proto.Span) ([]byte, bool, error) {
	lower, upper := enginekey.Bounds(t, span)
	onDisk, err := e.db.EstimateDiskUsage(lower, upper)
	if err != nil {
		return nil, false, wrap("middle key", err)
	}
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, false, wrap("middle key", err)
	}
	defer it.Close()
	m := middle{e: e, it: it, tag: t, lower: lower, total: onDisk}
	var found []byte
	whole := false
	small := onDisk <= maxMiddleBytes/4 // compressed, and memtables do not count
	if !small {
		small, err = m.fewRecords()
	}
	if err == nil && small {
		found, whole, err = m.scan()
	}
	if err == nil && !whole && onDisk > 0 {
		var better []byte
		if better, err = m.bisect(); better != nil {
			found = better
		}
	}
	return found, found != nil, wrap("middle key", err)
}

// middle looks for the middle of one space of a span.
type middle struct {
	e     *Engine
	it    *pebble.Iterator
	tag   enginekey.Tag
	lower []byte
	total uint64 // on disk
}

// key returns a copy of the internal key under the iterator.
func (m *middle) key() []byte {
	_, key, _, _ := enginekey.Decode(m.it.Key())
	return bytes.Clone(key)
}

// fewRecords guesses from the first records whether a scan can see all.
func (m *middle) fewRecords() (bool, error) {
	records, seen := uint64(0), uint64(0)
	for ok := m.it.First(); ok && records < 256; ok = m.it.Next() {
		value := m.it.LazyValue()
		records, seen = records+1, seen+uint64(len(m.it.Key())+value.Len())
	}
	if records == 0 {
		return false, m.it.Error()
	}
	mean := seen / records
	return mean >= separateBytes && m.total/mean < maxMiddleRecords/2, m.it.Error()
}

// scan adds up records until the end of the span or of its budget, and returns
// the key nearest to half of what it saw; whole: it saw everything.
func (m *middle) scan() (key []byte, whole bool, err error) {
	var marks ruler
	var prefix []byte
	seen, read, records := int64(0), int64(0), 0
	for ok := m.it.First(); ok; ok = m.it.Next() {
		k := m.it.Key()
		if n := enginekey.Split(k); !bytes.Equal(k[:n], prefix) {
			if prefix != nil { // the first key has nothing before it
				marks.add(seen, k[1:n-1])
			}
			prefix = append(prefix[:0], k[:n]...)
		}
		here := m.it.LazyValue()
		read += int64(len(k))
		if here.Fetcher == nil {
			read += int64(here.Len())
		}
		seen += int64(len(k) + here.Len())
		if records++; records > maxMiddleRecords || read > maxMiddleBytes {
			return marks.nearest(seen / 2), false, m.it.Error()
		}
	}
	return marks.nearest(seen / 2), true, m.it.Error()
}

// bisect narrows down the key by the engine's estimates, which come from the
// tables' indexes: every step is a seek and a look at one index per level.
func (m *middle) bisect() ([]byte, error) {
	if !m.it.Last() {
		return nil, m.it.Error()
	}
	hi := m.key()
	if !m.it.First() {
		return nil, m.it.Error()
	}
	lo := m.key()
	var best []byte
	nearest := m.total + 1
	for range 64 {
		k, err := m.between(lo, hi)
		if err != nil {
			return nil, err
		}
		before, err := m.e.db.EstimateDiskUsage(m.lower, enginekey.Append(nil, m.tag, k))
		if err != nil {
			return nil, err
		}
		if off := distance(before, m.total/2); off < nearest && !bytes.Equal(k, lo) {
			best, nearest = k, off
		}
		switch {
		case bytes.Equal(k, lo) || bytes.Equal(k, hi) || nearest <= m.total/64:
			return best, nil
		case before < m.total/2:
			lo = k
		default:
			hi = k
		}
	}
	return best, nil
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// between returns a key of the span after lo and before hi, hi if there is
// none, and lo if they are the same.
func (m *middle) between(lo, hi []byte) ([]byte, error) {
	at := enginekey.Append(nil, m.tag, halfway(lo, hi))
	if !m.it.SeekGE(at) {
		return hi, m.it.Error()
	}
	k := m.key()
	if bytes.Compare(k, hi) >= 0 && m.it.SeekLT(at) {
		k = m.key()
	}
	if bytes.Compare(k, lo) > 0 {
		return k, m.it.Error()
	}
	// Nothing between lo and the halfway mark: whatever comes next.
	if m.it.SeekGE(enginekey.Append(nil, m.tag, append(bytes.Clone(lo), 0))) {
		k = m.key()
	}
	return k, m.it.Error()
}

// halfway returns bytes about halfway between lo and hi in the order of keys,
// and above lo. lo is not above hi.
func halfway(lo, hi []byte) []byte {
	n := 0
	for n < len(lo) && n < len(hi) && lo[n] == hi[n] {
		n++
	}
	a, b := eight(lo[n:]), eight(hi[n:])
	mid := append(bytes.Clone(lo[:n]), make([]byte, 8)...)
	binary.BigEndian.PutUint64(mid[n:], a+(b-a)/2)
	if bytes.Compare(mid, lo) <= 0 {
		return append(bytes.Clone(lo), 0)
	}
	return mid
}

// eight reads the first eight bytes as a number, as if zeros followed.
func eight(b []byte) uint64 {
	var w [8]byte
	copy(w[:], b)
	return binary.BigEndian.Uint64(w[:])
}

// ruler keeps marks at keys along a scan: evenly over the bytes, a bounded
// number of them.
type ruler struct {
	marks []mark
	gap   int64 // least distance of marks
}

type mark struct {
	at  int64
	key []byte
}

const maxMarks = 512

func (r *ruler) add(at int64, key []byte) {
	if n := len(r.marks); n > 0 && at-r.marks[n-1].at < r.gap {
		return
	}
	if len(r.marks) == maxMarks {
		for i := range maxMarks / 2 {
			r.marks[i] = r.marks[2*i]
		}
		r.marks = r.marks[:maxMarks/2]
		r.gap = at / (maxMarks / 2)
	}
	r.marks = append(r.marks, mark{at, bytes.Clone(key)})
}

// nearest returns the key whose mark is nearest to a position, nil without any.
func (r *ruler) nearest(to int64) []byte {
	var best mark
	for i, m := range r.marks {
		if i == 0 || distance(uint64(m.at), uint64(to)) < distance(uint64(best.at), uint64(to)) {
			best = m
		}
	}
	return best.key
}
