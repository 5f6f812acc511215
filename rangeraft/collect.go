package rangeraft

import (
	"fmt"
	"log/slog"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// A removed replica goes in one of four ways (P45), each leaving a tombstone:
//
//	it applies its removal          ->  destroy
//	no leader speaks to it          ->  asks the range, and its members  -> destroy
//	a leader names a later replica  ->  destroy: a node has one at a time
//	the node starts without it in its own descriptor -> swept by Open
//
// An id once given out and not in use any more never comes back, so a
// descriptor of any age that shows this is proof enough.
const (
	// quietTimeouts is how many election timeouts without a leader's word make a
	// replica ask, and maxQuietTimeouts how rarely it asks in the end.
	quietTimeouts    = 2
	maxQuietTimeouts = 32
	// parallelAsking bounds replicas of a node that ask at a time.
	parallelAsking = 4
)

// quiet is how long a replica has not heard of a leader, in ticks.
type quiet struct {
	ticks, askAt int
}

// heard follows a message of a leader.
func (r *Replica) heard() { r.quiet = quiet{} }

// askIfQuiet asks for the replica's membership when no leader was heard of for
// a while, less and less often.
func (r *Replica) askIfQuiet() {
	q := &r.quiet
	if r.leading {
		*q = quiet{}
		return
	}
	if q.askAt == 0 {
		q.askAt = quietTimeouts * r.s.opts.ElectionTicks
	}
	if q.ticks++; q.ticks < q.askAt {
		return
	}
	select {
	case r.s.asking <- struct{}{}:
	default:
		return // at the next tick
	}
	q.askAt = q.ticks + min(q.ticks, maxQuietTimeouts*r.s.opts.ElectionTicks)
	mine, known := r.desc.Load(), r.otherNodes()
	r.s.background(func() {
		defer func() { <-r.s.asking }()
		if d := r.s.proofOfRemoval(r, mine, known); d != nil {
			r.post(func() { r.collect(d) })
		}
	})
}

// otherNodes lists the nodes that the replica knows to have others.
func (r *Replica) otherNodes() []proto.NodeID {
	var nodes []proto.NodeID
	for _, n := range *r.peersOf.Load() {
		if n != r.s.opts.NodeID {
			nodes = append(nodes, n)
		}
	}
	for _, rep := range r.desc.Load().GetReplicas() {
		if n := proto.NodeID(rep.NodeId); n != r.s.opts.NodeID {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// proofOfRemoval asks whoever may know for the applied descriptor, and returns
// one that leaves the replica out; nil if there is none. mine is nil for a
// replica that never had data.
func (s *Store) proofOfRemoval(r *Replica, mine *pontoonpb.Descriptor, known []proto.NodeID) *pontoonpb.Descriptor {
	status := &pontoonpb.RangeOp_Status{Status: &pontoonpb.StatusOp{}}
	if mine != nil && s.opts.Resolver != nil {
		ctx, cancel := s.deadline(s.opts.electionTimeout())
		reply, err := s.send(ctx, &pontoonpb.RangeOp{Span: keys.Point(mine.Span.Start).Wire(), Op: status})
		cancel()
		if d := reply.GetStatus().GetDesc(); err == nil && r.goneIn(d, mine) {
			return d
		}
	}
	for _, n := range known {
		ctx, cancel := s.deadline(s.opts.electionTimeout())
		reply, err := s.Call(ctx, n, &pontoonpb.RangeOp{RangeId: uint64(r.id), Op: status})
		cancel()
		if d := reply.GetStatus().GetDesc(); err == nil && r.goneIn(d, mine) {
			return d
		}
	}
	return nil
}

// goneIn reports whether an applied descriptor proves that the replica has no
// place any more: in its own range, or in the one that took its range in by a
// merge, if nothing of that lives on this node and may still want the data.
func (r *Replica) goneIn(d, mine *pontoonpb.Descriptor) bool {
	if d == nil {
		return false
	}
	if proto.RangeID(d.RangeId) == r.id {
		return removed(d, r.replicaID)
	}
	_, here := replicaOn(d, r.s.opts.NodeID)
	return mine != nil && d.Generation > mine.Generation && proto.SpanOf(d.Span).Contains(mine.Span.Start) &&
		!here && r.s.replica(proto.RangeID(d.RangeId)) == nil
}

// collect ends a replica that missed its removal.
func (r *Replica) collect(d *pontoonpb.Descriptor) {
	if r.leading {
		return // it will find out, and ask again
	}
	r.log.Info("replica was removed", slog.Uint64("generation", d.Generation))
	r.s.departed.note(d)
	r.destroy(r.replicaID + 1)
}

// destroy ends the replica for good: its feeds, its messages, its data. next is
// the lowest replica id that may live on this node again (P45). It is called in
// the replica's turn, which is its last; nothing of raft may follow.
func (r *Replica) destroy(next proto.ReplicaID) {
	s := r.s
	if r.gone {
		return
	}
	cause := s.departed.refusal(r.id, r.span())
	r.endLocked(cause)
	s.writer.flush() // what it handed over before is written, nothing follows
	batch := s.opts.Engine.NewBatch()
	err := batch.RemoveRange(r.id, next)
	if err == nil {
		err = batch.Commit(true)
	}
	batch.Close()
	if err != nil {
		s.fault("remove a replica", err)
		return
	}
	s.mu.Lock()
	if s.replicas[r.id] == r { // only now may another one be made
		s.dropLocked(r.id)
	}
	s.mu.Unlock()
	s.closing.forget(r.id)
	s.metrics.collected.Inc()
	r.log.Info("replica removed")
}

// sweep removes what Open finds of a range whose descriptor leaves this node
// out: a crash came between the removal and its data.
func (s *Store) sweep(d *pontoonpb.Descriptor) error {
	batch := s.opts.Engine.NewBatch()
	defer batch.Close()
	if err := batch.RemoveRange(proto.RangeID(d.RangeId), proto.ReplicaID(d.NextReplicaId)); err != nil {
		return fmt.Errorf("rangeraft: range %d: %w", d.RangeId, err)
	}
	return batch.Commit(true)
}

// outlived ends an older replica of this node when a leader names a later one:
// a node has at most one at a time, so that the older was removed.
func (r *Replica) outlived(by proto.ReplicaID) {
	r.post(func() {
		if !r.leading {
			r.destroy(by)
		}
	})
}
