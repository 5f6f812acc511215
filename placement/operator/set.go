package operator

import (
	"cmp"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// Rests of a range (I5).
const (
	firstRest    = 10 * time.Second
	lastRest     = 10 * time.Minute
	repairRest   = 30 * time.Second // the longest before a repair is tried again
	balancedRest = 15 * time.Second // after a leader or replica was moved to balance
	settleRest   = 45 * time.Second // until the average load is right again
)

// Rest says until when no operator of a class is made for a range.
type Rest [classes]time.Time

// Resting reports whether the class rests.
func (r Rest) Resting(c Class, now time.Time) bool { return now.Before(r[c]) }

// Set holds the operators that run, the last ones that ended, and what was
// learnt from them. Not safe for concurrent use.
type Set struct {
	keep    int // ended ones
	lastID  uint64
	running map[proto.RangeID]*Operator
	ended   []*Operator // the oldest first
	rests   map[proto.RangeID]*history
}

type history struct {
	rest     Rest
	failures [classes]int
}

// NewSet returns an empty set that remembers so many ended operators.
func NewSet(keep int) *Set {
	return &Set{keep: keep, running: map[proto.RangeID]*Operator{}, rests: map[proto.RangeID]*history{}}
}

// Admit adds an operator and gives it an id, higher than any before; false: a
// range of it is busy (I3).
func (s *Set) Admit(o *Operator) bool {
	ranges := o.Ranges()
	for _, r := range ranges {
		if s.running[r] != nil {
			return false
		}
	}
	s.lastID++
	o.ID = s.lastID
	o.state = Waiting
	for _, r := range ranges {
		s.running[r] = o
	}
	return true
}

// Renew makes ids start above first, so that those of two drivers differ.
func (s *Set) Renew(first uint64) { s.lastID = max(s.lastID, first) }

// Of returns the operator that runs for a range, nil if there is none.
func (s *Set) Of(r proto.RangeID) *Operator { return s.running[r] }

// Find returns a running operator by id, nil if there is none.
func (s *Set) Find(id uint64) *Operator {
	for _, o := range s.running {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// Running returns the operators that run, by id.
func (s *Set) Running() []*Operator {
	list := make([]*Operator, 0, len(s.running))
	for r, o := range s.running {
		if o.Range == r {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *Operator) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// EndedOnes returns the last ones that ended, the oldest first.
func (s *Set) EndedOnes() []*Operator { return slices.Clone(s.ended) }

// Retire moves an operator that ended to the ended ones and lets its ranges
// rest if it failed, or if they were balanced (I5).
func (s *Set) Retire(o *Operator) {
	for _, r := range o.Ranges() {
		if s.running[r] == o {
			delete(s.running, r)
		}
		s.learn(r, o)
	}
	s.ended = append(s.ended, o)
	if len(s.ended) > s.keep {
		s.ended = slices.Delete(s.ended, 0, len(s.ended)-s.keep)
	}
}

func (s *Set) learn(r proto.RangeID, o *Operator) {
	class, h := o.Kind.Class(), s.rests[r]
	failed := o.state == Failed || o.state == TimedOut
	if h == nil {
		if !failed && class != Balance && o.state != Canceled {
			return
		}
		h = &history{}
		s.rests[r] = h
	}
	switch {
	case failed:
		h.failures[class]++
		rest := min(firstRest<<min(h.failures[class]-1, 16), lastRest)
		if class == Repair {
			rest = min(rest, repairRest)
		}
		h.rest[class] = o.ended.Add(rest)
	case o.state == Canceled:
		h.rest[class] = o.ended.Add(lastRest)
	default:
		h.failures[class] = 0
		if class == Balance {
			h.rest[class], h.rest[Settle] = o.ended.Add(balancedRest), o.ended.Add(settleRest)
		}
	}
}

// Rests returns which ranges rest, and forgets those whose rests are long over.
func (s *Set) Rests(now time.Time) map[proto.RangeID]Rest {
	rests := make(map[proto.RangeID]Rest, len(s.rests))
	for r, h := range s.rests {
		last := time.Time{}
		for _, t := range h.rest {
			if t.After(last) {
				last = t
			}
		}
		switch {
		case now.Before(last):
			rests[r] = h.rest
		case now.Sub(last) > 2*lastRest:
			delete(s.rests, r)
		}
	}
	return rests
}

// Drop forgets all running operators, without a trace: somebody else drives.
func (s *Set) Drop() { clear(s.running) }
