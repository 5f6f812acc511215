package storage

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// ReplaceTail makes entries all that the range's log holds beyond its applied
// index, and hs its hard state, for the recovery of a range that lost its
// quorum. It is alone in its batch as to that range.
func (b *Batch) ReplaceTail(id proto.RangeID, d *pontoonpb.Descriptor, entries []*raftpb.Entry, hs *raftpb.HardState) error {
	c := b.change(id)
	if c.st.desc == nil {
		return rangeError(id, ErrRangeNotFound)
	}
	applied := c.st.applied.Index
	if applied > c.st.last.Index || applied < c.st.truncated.Index {
		return rangeError(id, fmt.Errorf("storage: applied %d lies outside of the log (%d, %d]", applied, c.st.truncated.Index, c.st.last.Index))
	}
	if len(entries) > 0 && proto.Index(entries[0].GetIndex()) != applied+1 {
		return rangeError(id, errors.New("storage: the tail does not begin after the applied index"))
	}
	c.reset = true // what is in memory of the old tail goes
	if err := b.deleteEntries(id, applied+1, c.st.last.Index); err != nil {
		return err
	}
	if applied == c.st.truncated.Index {
		c.st.last = c.st.truncated
	} else {
		term, err := c.log.Term(uint64(applied))
		if err != nil {
			return rangeError(id, err)
		}
		c.st.last = LogMark{Index: applied, Term: proto.Term(term)}
	}
	if err := b.AppendLog(id, entries, hs); err != nil {
		return err
	}
	return b.SetDescriptor(d)
}
