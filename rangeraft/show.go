package rangeraft

import (
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// maxLocksShown bounds what counting the locks of one range costs.
const maxLocksShown = 1000

// RangeIDs returns the ranges that have a replica here, ascending.
func (s *Store) RangeIDs() []proto.RangeID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := make([]proto.RangeID, 0, len(s.replicas))
	for id := range s.replicas {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Show returns what this node knows of one of its ranges and how many locks of
// txns its replica holds, up to 1000; nil if it has none.
func (s *Store) Show(id proto.RangeID) (st *pontoonpb.RangeStatus, locks int, err error) {
	r := s.replica(id)
	if r == nil {
		return nil, 0, nil
	}
	if st = r.status(); st == nil {
		return nil, 0, nil
	}
	locks, err = s.countLocks(proto.SpanOf(st.Desc.Span))
	return st, locks, err
}

func (s *Store) countLocks(span proto.Span) (n int, err error) {
	v, err := s.opts.Engine.NewView()
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := v.Close(); err == nil {
			err = cerr
		}
	}()
	err = v.Local(pontoonpb.Space_SPACE_LOCK, span, func(storage.LocalRecord) (bool, error) {
		n++
		return n < maxLocksShown, nil
	})
	return n, err
}
