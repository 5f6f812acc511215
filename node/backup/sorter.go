package backup

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// fanIn is how many runs are merged at a time, with a buffer each.
const (
	fanIn      = 64
	readBuffer = 128 << 10
)

// sorter brings records into key order with bounded memory: what exceeds limit
// is sorted and spilled as a run, runs of one level are merged into one of the
// next.
//
//	add -> buffer --limit--> run, level 0 --fanIn of them--> run, level 1 ...
//	merge <- buffer and all runs
//
// It is used by one goroutine; its files are the directory's owner's to remove.
type sorter struct {
	dir    string
	limit  int
	buf    []byte
	at     []int // where records start in buf
	levels [][]string
	files  int
	spilt  int64 // bytes written to runs of level 0
}

func newSorter(dir string, limit int) *sorter {
	return &sorter{dir: dir, limit: limit, buf: make([]byte, 0, limit)} // grown, it would be there twice
}

// add copies a record.
func (s *sorter) add(key, value []byte) error {
	s.at = append(s.at, len(s.buf))
	s.buf = appendRecord(s.buf, key, value)
	if len(s.buf)+8*len(s.at) < s.limit {
		return nil
	}
	return s.spill()
}

func (s *sorter) keyAt(at int) []byte {
	n, l := binary.Uvarint(s.buf[at:])
	return s.buf[at+l : at+l+int(n)]
}

func (s *sorter) sort() {
	slices.SortFunc(s.at, func(a, b int) int { return bytes.Compare(s.keyAt(a), s.keyAt(b)) })
}

// spill writes the buffer as a run.
func (s *sorter) spill() error {
	s.sort()
	name, err := s.writeRun(func(put func(key, value []byte) error) error { return s.each(put) })
	if err != nil {
		return err
	}
	s.spilt += int64(len(s.buf))
	s.buf, s.at = s.buf[:0], s.at[:0]
	return s.keep(name, 0)
}

func (s *sorter) each(fn func(key, value []byte) error) error {
	for _, at := range s.at {
		key, value, _, err := takeRecord(s.buf[at:])
		if err == nil {
			err = fn(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keep notes a run, and merges its level once that is full.
func (s *sorter) keep(name string, level int) error {
	for len(s.levels) <= level {
		s.levels = append(s.levels, nil)
	}
	s.levels[level] = append(s.levels[level], name)
	if len(s.levels[level]) < fanIn {
		return nil
	}
	runs := s.levels[level]
	merged, err := s.writeRun(func(put func(key, value []byte) error) error { return mergeRuns(runs, put) })
	if err != nil {
		return err
	}
	s.levels[level] = nil
	return s.keep(merged, level+1)
}

func (s *sorter) writeRun(produce func(put func(key, value []byte) error) error) (name string, err error) {
	s.files++
	name = filepath.Join(s.dir, fmt.Sprintf("run-%06d", s.files))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("backup: %w", err)
	}
	w := bufio.NewWriterSize(f, readBuffer)
	var rec []byte
	err = produce(func(key, value []byte) error {
		rec = appendRecord(rec[:0], key, value)
		_, err := w.Write(rec)
		return err
	})
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return "", fmt.Errorf("backup: %w", err)
	}
	return name, nil
}

// merge calls fn for all records in key order. The sorter is empty after.
func (s *sorter) merge(fn func(key, value []byte) error) error {
	if len(s.levels) == 0 {
		s.sort()
		return s.each(fn)
	}
	if len(s.at) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buf, s.at = nil, nil
	var runs []string
	for _, level := range s.levels {
		runs = append(runs, level...)
	}
	s.levels = nil
	return mergeRuns(runs, fn)
}

// mergeRuns merges sorted runs and removes them.
func mergeRuns(names []string, fn func(key, value []byte) error) (err error) {
	h := make(runHeap, 0, len(names))
	var open []*run
	defer func() {
		for _, r := range open {
			err = errors.Join(err, r.f.Close())
		}
	}()
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		// Removed at once where the system can: then nothing is left of a crash.
		_ = os.Remove(name)
		r := &run{f: f, r: bufio.NewReaderSize(f, readBuffer)}
		open = append(open, r)
		if ok, err := r.next(); err != nil {
			return err
		} else if ok {
			h = append(h, r)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		r := h[0]
		if err := fn(r.key, r.value); err != nil {
			return err
		}
		ok, err := r.next()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// run reads one sorted file.
type run struct {
	f          *os.File
	r          *bufio.Reader
	key, value []byte
}

// next reads the next record; false at the end.
func (r *run) next() (bool, error) {
	var err error
	if r.key, err = readBytes(r.r, r.key); errors.Is(err, io.EOF) {
		return false, nil
	}
	if err == nil {
		r.value, err = readBytes(r.r, r.value)
	}
	if err != nil {
		return false, fmt.Errorf("backup: spilled records: %w", err)
	}
	return true, nil
}

func readBytes(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, err
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return buf, fmt.Errorf("%w", io.ErrUnexpectedEOF)
	}
	return buf, nil
}

type runHeap []*run

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return bytes.Compare(h[i].key, h[j].key) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	*h = old[:len(old)-1]
	return r
}
