package closed

import (
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// promise says: once a replica has applied up to index in term, it is closed
// at closed. It stays true for ever.
type promise struct {
	entry
	closed proto.Revision
}

// stream is what one peer says at present.
type stream struct {
	in      map[proto.RangeID]entry
	watched map[proto.RangeID]struct{} // those of in that are watched
	closed  proto.Revision
}

// replica is what is known of one range here.
type replica struct {
	believed proto.Revision // I5
	kept     []promise      // of ranges that left, not yet believed
	from     []proto.NodeID // streams in which the range is in
}

// keptPromises bounds what is remembered for a replica that lags.
const keptPromises = 4

// Receiver is the replica's side of all streams into one node.
type Receiver struct {
	streams  map[proto.NodeID]*stream
	replicas map[proto.RangeID]*replica
	watched  map[proto.RangeID]struct{}
}

// NewReceiver returns a receiver that knows nothing.
func NewReceiver() *Receiver {
	return &Receiver{
		streams: map[proto.NodeID]*stream{}, replicas: map[proto.RangeID]*replica{},
		watched: map[proto.RangeID]struct{}{},
	}
}

// Reset forgets what the peer's last stream said is in: it ended or a new one
// begins (I3). What it promised before stays true.
func (r *Receiver) Reset(from proto.NodeID) {
	s := r.streams[from]
	if s == nil {
		return
	}
	for id := range s.in {
		r.leave(from, s, id)
	}
	delete(r.streams, from)
}

// Update takes the next update of the peer's stream. It returns the watched
// ranges whose closed revision may have risen, in order of id.
func (r *Receiver) Update(from proto.NodeID, u *pontoonpb.ClosedUpdate) []proto.RangeID {
	s := r.streams[from]
	if s == nil {
		s = &stream{in: map[proto.RangeID]entry{}, watched: map[proto.RangeID]struct{}{}}
		r.streams[from] = s
	}
	for _, id := range u.Leave {
		r.leave(from, s, proto.RangeID(id))
	}
	for _, e := range u.Enter {
		r.enter(from, s, e)
	}
	var rose []proto.RangeID
	if c := proto.Revision(u.Closed); c > s.closed {
		s.closed = c
		for id := range s.watched {
			rose = append(rose, id)
		}
	} else {
		for _, e := range u.Enter {
			if _, ok := s.watched[proto.RangeID(e.RangeId)]; ok {
				rose = append(rose, proto.RangeID(e.RangeId))
			}
		}
	}
	slices.Sort(rose)
	return slices.Compact(rose)
}

func (r *Receiver) enter(from proto.NodeID, s *stream, e *pontoonpb.ClosedEnter) {
	id := proto.RangeID(e.RangeId)
	if _, in := s.in[id]; in {
		r.leave(from, s, id)
	}
	s.in[id] = entry{proto.Term(e.Term), proto.Index(e.AppliedIndex)}
	rep := r.replica(id)
	rep.from = append(rep.from, from)
	if _, ok := r.watched[id]; ok {
		s.watched[id] = struct{}{}
	}
}

// leave keeps the promise that the stream made for the range so far: it holds
// also for a replica that reaches the index later.
func (r *Receiver) leave(from proto.NodeID, s *stream, id proto.RangeID) {
	e, in := s.in[id]
	if !in {
		return
	}
	delete(s.in, id)
	delete(s.watched, id)
	rep := r.replica(id)
	rep.from = slices.DeleteFunc(rep.from, func(n proto.NodeID) bool { return n == from })
	if s.closed <= rep.believed {
		return
	}
	if len(rep.kept) == keptPromises {
		rep.kept = slices.Delete(rep.kept, 0, 1)
	}
	rep.kept = append(rep.kept, promise{e, s.closed})
}

func (r *Receiver) replica(id proto.RangeID) *replica {
	rep := r.replicas[id]
	if rep == nil {
		rep = &replica{}
		r.replicas[id] = rep
	}
	return rep
}

// Closed returns the closed revision that the side streams grant to the local
// replica of the range, whose last applied entry has this term and index (I4).
// 0: nothing. It never falls while the range is not forgotten.
func (r *Receiver) Closed(id proto.RangeID, term proto.Term, index proto.Index) proto.Revision {
	rep := r.replicas[id]
	if rep == nil {
		return 0
	}
	reached := func(e entry) bool { return term == e.term && index >= e.index }
	rep.kept = slices.DeleteFunc(rep.kept, func(p promise) bool {
		if !reached(p.entry) {
			return p.term < term // of a leader that is gone: entries of later terms say more
		}
		rep.believed = max(rep.believed, p.closed)
		return true
	})
	for _, n := range rep.from {
		if s := r.streams[n]; reached(s.in[id]) {
			rep.believed = max(rep.believed, s.closed)
		}
	}
	return rep.believed
}

// Watch makes Update name the range when its closed revision may have risen:
// somebody subscribes to its feed.
func (r *Receiver) Watch(id proto.RangeID) {
	r.watched[id] = struct{}{}
	if rep := r.replicas[id]; rep != nil {
		for _, n := range rep.from {
			r.streams[n].watched[id] = struct{}{}
		}
	}
}

// Unwatch undoes Watch.
func (r *Receiver) Unwatch(id proto.RangeID) {
	delete(r.watched, id)
	if rep := r.replicas[id]; rep != nil {
		for _, n := range rep.from {
			delete(r.streams[n].watched, id)
		}
	}
}

// Forget drops what was believed of a range whose replica here is gone or was
// replaced by a raft snapshot. Streams keep it in; a new replica is measured
// by its own applied index.
func (r *Receiver) Forget(id proto.RangeID) {
	if rep := r.replicas[id]; rep != nil {
		rep.believed, rep.kept = 0, nil
		if len(rep.from) == 0 {
			delete(r.replicas, id)
		}
	}
}
