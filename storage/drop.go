package storage

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// dropState says how far dropping came in one replica. It is not replicated.
// A mark names the last entry with an effect below the floor (P41): what was
// done under another mark is to be done again.
type dropState struct {
	done     proto.Revision // everything below is dropped ...
	doneMark uint64         // ... as of this mark
	target   proto.Revision // the pass that is under way
	mark     uint64
	cursor   []byte // internal key where it goes on
}

func appendDropState(dst []byte, s *dropState) []byte {
	dst = append(dst, stateFormat)
	dst = binary.AppendVarint(dst, int64(s.done))
	dst = binary.AppendUvarint(dst, s.doneMark)
	dst = binary.AppendVarint(dst, int64(s.target))
	dst = binary.AppendUvarint(dst, s.mark)
	return append(dst, s.cursor...)
}

func decodeDropState(b []byte) (s dropState, err error) {
	r := varints{b: b}
	if f := r.byte(); r.err == nil && f != stateFormat {
		return s, errors.New("drop state of unknown format")
	}
	s.done = proto.Revision(r.int())
	s.doneMark = r.uint()
	s.target = proto.Revision(r.int())
	s.mark = r.uint()
	s.cursor = bytes.Clone(r.b)
	return s, r.err
}

// dropPass is one walk over a range under one floor. Every step reads its own
// view, so nothing is pinned between steps.
type dropPass struct {
	e     *Engine
	id    proto.RangeID
	floor proto.Revision
	state dropState
}

// dropCost is what a step did.
type dropCost struct {
	examined, dropped int
}

// beginDrop returns the pass that the range needs; nil if nothing is to drop.
func (e *Engine) beginDrop(id proto.RangeID) (*dropPass, error) {
	v, err := e.NewView()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	applied, err := v.Applied(id)
	if err != nil {
		return nil, err
	}
	p := &dropPass{e: e, id: id, floor: applied.Floor}
	mark, err := v.dropMark(id)
	if err != nil {
		return nil, err
	}
	b, ok, err := v.getRaw(enginekey.AppendRange(nil, id, enginekey.Drop))
	if err != nil {
		return nil, err
	}
	if ok {
		if p.state, err = decodeDropState(b); err != nil {
			return nil, damaged("drop state", err)
		}
	}
	if p.floor <= 0 || ok && p.state.done >= p.floor && p.state.doneMark == mark {
		return nil, nil
	}
	if p.state.target != p.floor || p.state.mark != mark {
		p.state.target, p.state.mark, p.state.cursor = p.floor, mark, nil
	}
	return p, nil
}

func (v *View) dropMark(id proto.RangeID) (uint64, error) {
	b, ok, err := v.getRaw(enginekey.AppendRange(nil, id, enginekey.DropMark))
	if err != nil || !ok {
		return 0, err
	}
	r := varints{b: b}
	mark := r.uint()
	if err := r.done(); err != nil {
		return 0, damaged("drop mark", err)
	}
	return mark, nil
}

// step goes on until it examined about limit versions, and reports whether the
// pass is over.
func (p *dropPass) step(limit int) (cost dropCost, over bool, err error) {
	p.e.replacing.Lock()
	defer p.e.replacing.Unlock()
	v, err := p.e.NewView()
	if err != nil {
		return cost, false, err
	}
	defer v.Close()
	d, err := v.Descriptor(p.id)
	if err != nil {
		return cost, false, err
	}
	span := proto.SpanOf(d.GetSpan())
	if bytes.Compare(p.state.cursor, span.Start) > 0 {
		span.Start = p.state.cursor
	}
	b := p.e.db.NewBatch()
	defer b.Close()
	over = true
	if !span.Empty() {
		if over, err = p.walk(v, b, span, limit, &cost); err != nil {
			return cost, false, err
		}
	}
	if over {
		p.state.done, p.state.doneMark, p.state.cursor = p.floor, p.state.mark, nil
	}
	key := enginekey.AppendRange(nil, p.id, enginekey.Drop)
	if err := b.Set(key, appendDropState(nil, &p.state), nil); err != nil {
		return cost, false, wrap("drop", err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return cost, false, wrap("drop", err)
	}
	p.e.metrics.dropped.Add(float64(cost.dropped))
	return cost, over, nil
}

// walk collects what to drop from span. It stops only between keys, so that
// the versions of a key go together: what is older than a tombstone never
// outlives it.
func (p *dropPass) walk(v *View, b *pebble.Batch, span proto.Span, limit int, cost *dropCost) (bool, error) {
	lower, upper := enginekey.Bounds(enginekey.Versions, span)
	it, err := v.iter(&pebble.IterOptions{
		LowerBound: lower, UpperBound: upper, PointKeyFilters: revisionFilter(0, p.floor),
	})
	if err != nil {
		return false, err
	}
	defer it.Close()
	var prefix []byte
	kept := false // the newest version at or below the floor was met
	var ver Version
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		n := enginekey.Split(k)
		if !bytes.Equal(prefix, k[:n]) {
			if cost.examined >= limit {
				p.state.cursor = bytes.Clone(k[1 : n-1])
				return false, nil
			}
			prefix, kept = append(prefix[:0], k[:n]...), false
		}
		cost.examined++
		if err := v.versionAt(it, &ver); err != nil {
			return false, err
		}
		if ver.ModRevision > p.floor {
			continue
		}
		newest := !kept
		kept = true
		// At the floor every change stays, also a tombstone and what the same
		// revision put in its place, for watches that start there.
		if ver.ModRevision == p.floor || newest && !ver.Tombstone {
			continue
		}
		if err := b.Delete(k, nil); err != nil {
			return false, wrap("drop", err)
		}
		cost.dropped++
	}
	return true, wrap("drop", it.Error())
}
