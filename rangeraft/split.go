package rangeraft

import (
	"fmt"
	"log/slog"

	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// Where the log of a range that was not made by a raft snapshot begins: above
// zero, so that a replica that has nothing yet is told apart.
const (
	firstIndex proto.Index = 10
	firstTerm  proto.Term  = 5
)

// splitDescriptors cuts a descriptor. The right side takes the same replica
// ids; both sides know the split by their generation.
func splitDescriptors(d *pontoonpb.Descriptor, split *pontoonpb.Split) (left, right *pontoonpb.Descriptor) {
	left, right = goproto.CloneOf(d), goproto.CloneOf(d)
	left.Generation++
	left.Span.End = split.Key
	right.RangeId = split.RightRangeId
	right.Generation = left.Generation
	right.Span.Start = split.Key
	return left, right
}

// applySplit makes the right side's replica in the same batch that narrows the
// left one (P45). It inherits what is closed and the floor; locks, records and
// registrations are addressed by key and follow by themselves.
func (r *Replica) applySplit(batch *storage.Batch, a *applied) error {
	d := r.desc.Load()
	if !proto.SpanOf(d.Span).Contains(a.cmd.Split.Key) || string(d.Span.Start) == string(a.cmd.Split.Key) {
		return fmt.Errorf("split key %x is not inside the range", a.cmd.Split.Key)
	}
	left, right := splitDescriptors(d, a.cmd.Split)
	self, ok := replicaOn(right, r.s.opts.NodeID)
	if !ok {
		return fmt.Errorf("node is not among the replicas of range %d", right.RangeId)
	}
	r.retireUninitialised(proto.RangeID(right.RangeId))
	st := storage.RangeState{
		Descriptor: right, Truncated: storage.LogMark{Index: firstIndex, Term: firstTerm},
		Applied: storage.AppliedState{Index: firstIndex, Term: firstTerm,
			Closed: r.state.Closed, Floor: r.state.Floor, LiveKeys: storage.LiveKeysUnknown},
	}
	if err := r.createRight(batch, st, self); err != nil {
		return err
	}
	if err := batch.SetDescriptor(left); err != nil {
		return err
	}
	r.state.LiveKeys = storage.LiveKeysUnknown
	r.counts.reset(a.index, storage.LiveKeysUnknown)
	a.desc, a.right = left, right
	next := r.state
	if _, err := batch.Apply(r.id, &next, nil); err != nil {
		return err
	}
	// Entries of this batch that follow are measured by the new generation.
	r.desc.Store(left)
	return nil
}

// createRight makes the right side's replica, unless it was removed from this
// node before the split was applied here: then its data goes (P45).
func (r *Replica) createRight(batch *storage.Batch, st storage.RangeState, self proto.ReplicaID) error {
	next, err := r.s.opts.Engine.Tombstone(st.ID())
	if err != nil {
		return err
	}
	if self < next {
		return batch.ClearSpan(st.Span())
	}
	return batch.CreateRange(st, self)
}

// retireUninitialised ends a replica of the right side that a leader's messages
// brought here before the split, once its promises are written: CreateRange
// keeps them (P45).
func (r *Replica) retireUninitialised(id proto.RangeID) {
	s := r.s
	s.mu.Lock()
	old := s.replicas[id]
	if old != nil {
		s.dropLocked(id)
	}
	s.splitting[id] = nil
	if old != nil {
		s.splitting[id] = old.promise
	}
	s.mu.Unlock()
	if old == nil {
		return
	}
	old.stop()
	s.writer.flush()
}

// splitDone follows a split that became visible: the right replica starts, and
// campaigns where the left leader is.
func (r *Replica) splitDone(left, right *pontoonpb.Descriptor) {
	if own := r.s.opts.Engine.Log(r.id).Descriptor(); own.GetGeneration() == left.Generation {
		left = own // one of the two is enough
	}
	r.setDescriptor(left)
	r.log.Info("split", slog.Uint64("right", right.RangeId), slog.Uint64("generation", left.Generation))
	if r.s.opts.Engine.Log(proto.RangeID(right.RangeId)).Descriptor() == nil { // see createRight
		r.s.mu.Lock()
		delete(r.s.splitting, proto.RangeID(right.RangeId))
		r.s.mu.Unlock()
		r.hub.Narrow(proto.SpanOf(left.Span), left.Generation, left, right)
		return
	}
	self, _ := replicaOn(right, r.s.opts.NodeID)
	n, err := r.s.newReplica(proto.RangeID(right.RangeId), self, !r.s.opts.Fresh) // a replica without data may have promised (P3)
	if err != nil {
		r.s.fault("start the right side of a split", err)
		return
	}
	r.size.halve(&n.size)
	n.candidacy.Postpone(r.s.opts.Now()) // it is led where the left side is; nobody else knows it yet
	r.s.mu.Lock()
	if p := r.s.splitting[n.id]; p != nil {
		n.promise = p
	}
	r.s.addLocked(n)
	delete(r.s.splitting, n.id)
	stopped := r.s.stopped
	r.s.mu.Unlock()
	if stopped {
		n.stop()
		return
	}
	r.post(r.recount)
	n.post(n.recount)
	r.hub.Narrow(proto.SpanOf(left.Span), left.Generation, left, right)
	if r.leading {
		r.tellDirectory(left)
		if r.lessor {
			r.tellLessor() // it gives up the lease records that went to the right side
		}
		n.mu.Lock()                          // now: TransferAll must not miss it when this turn is over
		n.retry = 2 * n.s.opts.ElectionTicks // the others may not have applied the split yet
		n.mu.Unlock()
		n.post(func() {
			if n.promise.Free(n.s.opts.Now()) {
				n.campaign()
			}
		})
	}
}
