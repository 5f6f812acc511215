package storage

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// rangeDeleteFrom is the number of log entries above which one range deletion
// is cheaper than a deletion each.
const rangeDeleteFrom = 64

// AppendLog appends entries, replacing everything from their first index on,
// and stores the hard state; either may be empty. Entries must not be changed
// afterwards.
func (b *Batch) AppendLog(id proto.RangeID, entries []*raftpb.Entry, hs *raftpb.HardState) error {
	c := b.change(id)
	if hs != nil {
		b.buf = enginekey.AppendRange(b.buf[:0], id, enginekey.HardState)
		if err := b.b.Set(b.buf, appendHardState(nil, hs), nil); err != nil {
			return wrap("append", err)
		}
		c.st.hs = newHardState(hs.GetTerm(), hs.GetVote(), hs.GetCommit())
	}
	if len(entries) == 0 {
		return nil
	}
	first, last := proto.Index(entries[0].GetIndex()), c.st.last.Index
	if first > last+1 || first <= c.st.truncated.Index {
		return rangeError(id, fmt.Errorf("storage: append at %d to a log of (%d, %d]", first, c.st.truncated.Index, last))
	}
	for i, e := range entries {
		if e.GetIndex() != uint64(first)+uint64(i) {
			return rangeError(id, fmt.Errorf("storage: append has a hole before index %d", e.GetIndex()))
		}
		b.setEntry(id, e)
	}
	end := entries[len(entries)-1]
	c.st.last = LogMark{Index: proto.Index(end.GetIndex()), Term: proto.Term(end.GetTerm())}
	c.appends = append(c.appends, entries)
	return b.deleteEntries(id, c.st.last.Index+1, last)
}

func (b *Batch) setEntry(id proto.RangeID, e *raftpb.Entry) {
	b.buf = enginekey.AppendLog(b.buf[:0], id, proto.Index(e.GetIndex()))
	op := b.b.SetDeferred(len(b.buf), entryLen(e))
	copy(op.Key, b.buf)
	appendEntry(op.Value[:0], e)
	op.Finish()
}

// deleteEntries deletes the entries in [from, to].
func (b *Batch) deleteEntries(id proto.RangeID, from, to proto.Index) error {
	if to+1 > from+rangeDeleteFrom {
		return wrap("truncate", b.b.DeleteRange(
			enginekey.AppendLog(nil, id, from), enginekey.AppendLog(nil, id, to+1), nil))
	}
	for i := from; i <= to; i++ {
		b.buf = enginekey.AppendLog(b.buf[:0], id, i)
		if err := b.b.Delete(b.buf, nil); err != nil {
			return wrap("truncate", err)
		}
	}
	return nil
}

// TruncateLog drops the log up to and including index, whose term is term.
// Nothing happens if that is done already. The index must be applied, and the
// batch or an earlier one must hold that apply (I3).
func (b *Batch) TruncateLog(id proto.RangeID, index proto.Index, term proto.Term) error {
	c := b.change(id)
	if index <= c.st.truncated.Index {
		return nil
	}
	if index > c.st.applied.Index {
		return rangeError(id, fmt.Errorf("storage: truncating to %d, applied is %d", index, c.st.applied.Index))
	}
	from, to := c.st.truncated.Index+1, min(index, c.st.last.Index)
	if err := b.deleteEntries(id, from, to); err != nil {
		return err
	}
	c.st.truncated = LogMark{Index: index, Term: term}
	if c.st.last.Index < index {
		c.st.last = c.st.truncated
		c.reset = true
	}
	return b.setRange(id, enginekey.Truncated, appendMark(nil, c.st.truncated))
}

// setRange writes one range-local record.
func (b *Batch) setRange(id proto.RangeID, r enginekey.Record, value []byte) error {
	b.buf = enginekey.AppendRange(b.buf[:0], id, r)
	return wrap("set range record", b.b.Set(b.buf, value, nil))
}
