package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// StagedSnapshot is a received raft snapshot that waits on disk to be
// ingested. It must be ended by Ingest or Discard.
type StagedSnapshot struct {
	e       *Engine
	desc    *pontoonpb.Descriptor
	applied AppliedState
	tables  *tableSet
}

// Descriptor returns the range's descriptor as of the snapshot. Shared.
func (s *StagedSnapshot) Descriptor() *pontoonpb.Descriptor { return s.desc }

// Applied returns the applied state as of the snapshot; its index and term
// are the raft snapshot's.
func (s *StagedSnapshot) Applied() AppliedState { return s.applied }

// Discard removes what was staged. After Ingest it does nothing.
func (s *StagedSnapshot) Discard() error {
	if s.tables == nil {
		return nil
	}
	err := s.tables.remove()
	s.tables = nil
	return err
}

// StageSnapshot reads a stream of View.Export to its end, checks it and builds
// tables from it beside the engine. Nothing is visible yet.
func (e *Engine) StageSnapshot(ctx context.Context, r io.Reader) (*StagedSnapshot, error) {
	c := chunkReader{r: r}
	kind, body, err := c.next()
	if err != nil {
		return nil, wrap("snapshot", err)
	}
	if kind != chunkHeader {
		return nil, errors.New("storage: snapshot: starts without a header")
	}
	s := &StagedSnapshot{e: e}
	if s.desc, s.applied, err = decodeHeader(body); err != nil {
		return nil, wrap("snapshot header", err)
	}
	if s.desc.GetRangeId() == 0 || proto.SpanOf(s.desc.GetSpan()).Empty() {
		return nil, errors.New("storage: snapshot header: range without id or span")
	}
	if s.tables, err = e.newTableSet(); err != nil {
		return nil, err
	}
	if err := s.read(ctx, &c); err != nil {
		return nil, wrap("snapshot", errors.Join(err, s.Discard()))
	}
	return s, nil
}

func (s *StagedSnapshot) read(ctx context.Context, c *chunkReader) error {
	b := spanTables{set: s.tables, span: proto.SpanOf(s.desc.GetSpan())}
	defer b.abort()
	var records uint64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, body, err := c.next()
		if err != nil {
			return err
		}
		switch kind {
		case chunkRecords:
			for r := (varints{b: body}); len(r.b) > 0; records++ {
				key, value := r.bytes(), r.bytes()
				if r.err != nil {
					return r.err
				}
				if err := b.add(key, value); err != nil {
					return err
				}
			}
		case chunkEnd:
			r := varints{b: body}
			if n := r.uint(); r.done() != nil || n != records {
				return fmt.Errorf("%d records came, the end says %d", records, n)
			}
			return b.finish()
		default:
			return fmt.Errorf("chunk of unknown kind %q", kind)
		}
	}
}

// spanTables builds tables of one span's records. Each also deletes what it
// replaces: together they delete the whole span in every replicated space.
type spanTables struct {
	set   *tableSet
	span  proto.Span
	space int    // index into enginekey.Replicated
	from  []byte // deleted from here on, the start of the table or space
	last  []byte
	w     *tableWriter
}

func (b *spanTables) add(key, value []byte) error {
	t, k, _, ok := enginekey.Decode(key)
	if !ok || enginekey.Validate(key) != nil || !b.span.Contains(k) {
		return fmt.Errorf("record %x lies outside of the span", key)
	}
	if b.last != nil && enginekey.Compare(b.last, key) >= 0 {
		return fmt.Errorf("record %x is out of order", key)
	}
	if err := b.enter(t); err != nil {
		return err
	}
	p := key[:enginekey.Split(key)]
	if b.w.size() > b.set.e.opts.SnapshotTableBytes && enginekey.Compare(b.last, p) < 0 {
		if err := b.cut(p); err != nil {
			return err
		}
	}
	b.last = append(b.last[:0], key...)
	return b.w.set(key, value)
}

// enter moves on to the space, deleting the rest of those before it.
func (b *spanTables) enter(t enginekey.Tag) error {
	for b.space < len(enginekey.Replicated) && enginekey.Replicated[b.space] != t {
		if err := b.leave(); err != nil {
			return err
		}
	}
	if b.space == len(enginekey.Replicated) {
		return fmt.Errorf("record of unknown space %#x", byte(t))
	}
	return b.open()
}

// leave ends the current space and its table. No table reaches over two
// spaces: one may have to go in between, for what a former span leaves over.
func (b *spanTables) leave() error {
	if err := b.open(); err != nil {
		return err
	}
	_, upper := enginekey.Bounds(enginekey.Replicated[b.space], b.span)
	if err := b.w.deleteRange(b.from, upper); err != nil {
		return err
	}
	b.space++
	b.from = nil
	return b.close()
}

// open starts a table unless one is open.
func (b *spanTables) open() error {
	if b.w != nil {
		return nil
	}
	if b.from == nil {
		b.from, _ = enginekey.Bounds(enginekey.Replicated[b.space], b.span)
	}
	var err error
	b.w, err = b.set.create()
	return err
}

// cut ends the table before the prefix p.
func (b *spanTables) cut(p []byte) error {
	if err := b.w.deleteRange(b.from, p); err != nil {
		return err
	}
	if err := b.close(); err != nil {
		return err
	}
	b.from = append([]byte(nil), p...)
	return b.open()
}

func (b *spanTables) finish() error {
	for b.space < len(enginekey.Replicated) {
		if err := b.leave(); err != nil {
			return err
		}
	}
	return nil
}

func (b *spanTables) close() error {
	w := b.w
	b.w = nil
	return w.close()
}

// abort closes a table left open by an error.
func (b *spanTables) abort() {
	if b.w != nil {
		b.w.abandon()
	}
}
