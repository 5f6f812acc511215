package rangeraft

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// mergeDriver carries one attempt to merge a range with its right neighbour
// (P46), beside the left range's leader. If it dies the next left leader aborts
// the attempt.
//
//	left log   BEGIN ----------------------------------> TRIGGER
//	             |                                          ^ every right replica
//	right log    '--> FREEZE --> applied everywhere --------'  has it durably
type mergeDriver struct {
	r    *Replica
	step *pontoonpb.MergeStep
	done chan *pontoonpb.RangeReply // buffered; one reply
}

// doMerge starts a driver and waits for it. The merge goes on if ctx ends.
func (r *Replica) doMerge(ctx context.Context, op *pontoonpb.MergeOp) *pontoonpb.RangeReply {
	if e := r.prove(ctx, proto.Span{}); e != nil {
		return &pontoonpb.RangeReply{Error: e}
	}
	step, refused := r.planMerge(proto.RangeID(op.RightRangeId))
	if refused != nil {
		return refusal(refused)
	}
	d := &mergeDriver{r: r, step: step, done: make(chan *pontoonpb.RangeReply, 1)}
	r.post(func() {
		switch {
		case !r.leading:
			d.done <- refusal(proto.NotLeader(proto.NodeID(r.leaderNode.Load())))
		case r.driver != nil:
			d.done <- refusal(mergeRefused("range %d is being merged already", r.id))
		default:
			r.driver = d
			r.s.background(d.run)
		}
	})
	select {
	case reply := <-d.done:
		return reply
	case <-ctx.Done():
	case <-r.s.ctx.Done():
	}
	return refusal(proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "the merge goes on"))
}

func mergeRefused(format string, args ...any) *proto.RangeError {
	return proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, format, args...)
}

// planMerge says what is to be merged, or why not.
func (r *Replica) planMerge(right proto.RangeID) (*pontoonpb.MergeStep, *proto.RangeError) {
	left := r.desc.Load()
	n := r.s.replica(right)
	switch {
	case r.s.opts.Resolver == nil:
		return nil, unavailable("other ranges are not reached from here")
	case n == nil || n.desc.Load() == nil:
		return nil, mergeRefused("range %d has no replica beside range %d's leader", right, r.id)
	}
	desc := n.desc.Load()
	if err := mergeable(left, desc); err != nil {
		return nil, err
	}
	return &pontoonpb.MergeStep{Left: left, Right: desc, Id: &pontoonpb.MergeID{
		LeftRangeId: left.RangeId, RightRangeId: desc.RangeId,
		Node: uint64(r.s.opts.NodeID), Boot: r.s.boot, Counter: r.s.merges.Add(1),
	}}, nil
}

// mergeable refuses with a reason that an operator understands.
func mergeable(left, right *pontoonpb.Descriptor) *proto.RangeError {
	ls, rs := proto.SpanOf(left.Span), proto.SpanOf(right.Span)
	inside := func(s proto.Span) bool { return s.Covers(ls) && s.Covers(rs) }
	switch {
	case proto.RangeID(left.RangeId) == proto.RootRange || proto.RangeID(right.RangeId) == proto.RootRange:
		return mergeRefused("the root range is not merged")
	case !bytes.Equal(ls.End, rs.Start):
		return mergeRefused("range %d does not begin where range %d ends", right.RangeId, left.RangeId)
	case !inside(keys.UserSpan) && !inside(keys.LeaseSpan):
		return mergeRefused("leases and keys are not merged into one range")
	case len(left.Replicas) != len(right.Replicas):
		return mergeRefused("ranges %d and %d have replicas on different nodes", left.RangeId, right.RangeId)
	}
	for _, d := range []*pontoonpb.Descriptor{left, right} {
		for _, rep := range d.Replicas {
			if rep.Role != pontoonpb.ReplicaRole_REPLICA_VOTER {
				return mergeRefused("range %d has a replica on node %x that is not a voter", d.RangeId, rep.NodeId)
			}
			if _, ok := replicaOn(right, proto.NodeID(rep.NodeId)); !ok {
				return mergeRefused("range %d has no replica on node %x", right.RangeId, rep.NodeId)
			}
		}
	}
	return nil
}

// run drives the attempt to its end, then cleans up behind it.
func (d *mergeDriver) run() {
	reply := d.merge()
	d.r.post(func() {
		if d.r.driver == d {
			d.r.driver = nil
		}
	})
	d.done <- reply
	if reply.Error == nil {
		d.forget()
	}
}

func (d *mergeDriver) merge() *pontoonpb.RangeReply {
	if err := d.align(); err != nil {
		return refusal(mergeRefused("a replica of range %d is not up to date: %v", d.step.Right.RangeId, err))
	}
	if reply := d.own(pontoonpb.MergeStep_BEGIN); reply.Error != nil {
		return reply
	}
	if err := d.freeze(); err != nil {
		d.giveUp()
		d.r.log.Warn("merge aborted", slog.Uint64("right", d.step.Right.RangeId), slog.Any("error", err))
		return refusal(mergeRefused("range %d could not be frozen: %v", d.step.Right.RangeId, err))
	}
	reply := d.own(pontoonpb.MergeStep_TRIGGER)
	if reply.Error != nil {
		d.giveUp() // refused if it was triggered after all
		return reply
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Merge{Merge: &pontoonpb.MergeReply{Merged: d.r.desc.Load()}}}
}

// align makes sure that every right replica is there and close behind, before
// anybody is kept waiting.
func (d *mergeDriver) align() error {
	ctx, cancel := d.r.s.deadline(d.r.s.opts.electionTimeout())
	defer cancel()
	right := d.r.s.replica(proto.RangeID(d.step.Right.RangeId))
	if right == nil {
		return errors.New("it is gone")
	}
	return d.r.s.waitApplied(ctx, d.step.Right, uint64(right.published.Load().index))
}

// stepTimeouts is how long one step may take, in election timeouts.
const stepTimeouts = 2

// own puts a step into the left log.
func (d *mergeDriver) own(kind pontoonpb.MergeStep_Kind) *pontoonpb.RangeReply {
	ctx, cancel := d.r.s.deadline(stepTimeouts * d.r.s.opts.electionTimeout())
	defer cancel()
	return d.r.run(ctx, newRequest(mergeStepOp(d.step.Left, d.as(kind))))
}

func (d *mergeDriver) as(kind pontoonpb.MergeStep_Kind) *pontoonpb.MergeStep {
	return stepOf(d.step, kind)
}

func stepOf(s *pontoonpb.MergeStep, kind pontoonpb.MergeStep_Kind) *pontoonpb.MergeStep {
	s = goproto.CloneOf(s)
	s.Kind = kind
	return s
}

// mergeStepOp goes to whichever range holds the first key of the one named.
func mergeStepOp(to *pontoonpb.Descriptor, step *pontoonpb.MergeStep) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{
		RangeId: to.RangeId, Span: keys.Point(to.Span.Start).Wire(),
		Op: &pontoonpb.RangeOp_MergeStep{MergeStep: &pontoonpb.MergeStepOp{Step: step}},
	}
}

// freeze freezes the right range and waits until every replica of it has
// applied that, durably.
func (d *mergeDriver) freeze() error {
	ctx, cancel := d.r.s.deadline(stepTimeouts * d.r.s.opts.electionTimeout())
	defer cancel()
	reply, err := d.r.s.send(ctx, mergeStepOp(d.step.Right, d.as(pontoonpb.MergeStep_FREEZE)))
	if err != nil {
		return err
	}
	frozen := reply.GetMergeStep()
	d.step.FrozenIndex, d.step.RightClosed = frozen.GetFrozenIndex(), frozen.GetClosed()
	if frozen.GetFrozenIndex() == 0 {
		return errors.New("the right leader did not say where it froze")
	}
	return d.r.s.waitApplied(ctx, d.step.Right, frozen.GetFrozenIndex())
}

// giveUp aborts the attempt; the right range serves again.
func (d *mergeDriver) giveUp() {
	if reply := d.own(pontoonpb.MergeStep_ABORT); reply.Error == nil {
		d.r.s.unfreeze(d.step)
	}
}

// unfreeze tells the right range that an attempt was aborted. If the word is
// lost the right leader asks.
func (s *Store) unfreeze(step *pontoonpb.MergeStep) {
	ctx, cancel := s.deadline(stepTimeouts * s.opts.electionTimeout())
	defer cancel()
	if _, err := s.send(ctx, mergeStepOp(step.Right, stepOf(step, pontoonpb.MergeStep_UNFREEZE))); err != nil {
		s.log.Info("right range was not told of an aborted merge", slog.Uint64("right", step.Right.RangeId), slog.Any("error", err))
	}
}

// forget drops the mark of the merge once no node holds a replica of the right
// range any more that could ask for it. Should it stay it does no harm.
func (d *mergeDriver) forget() {
	ctx, cancel := d.r.s.deadline(10 * d.r.s.opts.electionTimeout())
	defer cancel()
	if d.r.s.waitApplied(ctx, d.step.Left, uint64(d.r.published.Load().index)) == nil {
		d.own(pontoonpb.MergeStep_FORGET)
	}
}

// waitApplied waits until every replica of a range applied up to index, durably.
func (s *Store) waitApplied(ctx context.Context, desc *pontoonpb.Descriptor, index uint64) error {
	op := &pontoonpb.RangeOp{
		RangeId: desc.RangeId, Span: keys.Point(desc.Span.Start).Wire(),
		Op: &pontoonpb.RangeOp_WaitApplied{WaitApplied: &pontoonpb.WaitAppliedOp{Index: index}},
	}
	var wg sync.WaitGroup
	errs := make([]error, len(desc.Replicas))
	for i, rep := range desc.Replicas {
		wg.Go(func() { errs[i] = s.callUntil(ctx, proto.NodeID(rep.NodeId), op) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// callUntil repeats a call to one node until it succeeds or ctx ends.
func (s *Store) callUntil(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) error {
	for {
		reply, err := s.Call(ctx, node, op)
		if err == nil {
			err = proto.FromWire(reply.GetError())
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.after(s.opts.TickInterval / 2):
		}
	}
}

// doMergeStep takes a step that comes from elsewhere. What decides is put into
// the left log by its own driver only.
func (r *Replica) doMergeStep(ctx context.Context, op *pontoonpb.RangeOp, step *pontoonpb.MergeStep) *pontoonpb.RangeReply {
	switch step.GetKind() {
	case pontoonpb.MergeStep_FREEZE, pontoonpb.MergeStep_UNFREEZE:
	case pontoonpb.MergeStep_ABORT:
		if r.driven(ctx, step.Id) {
			return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_MergeStep{MergeStep: &pontoonpb.MergeStepReply{Pending: true}}}
		}
	default:
		return refusal(mergeRefused("merge step %s comes from the range itself", step.GetKind()))
	}
	return r.run(ctx, newRequest(op))
}

// driven reports whether a driver here is at work on the attempt.
func (r *Replica) driven(ctx context.Context, id *pontoonpb.MergeID) bool {
	ch := make(chan bool, 1)
	r.post(func() { ch <- r.driver != nil && goproto.Equal(r.driver.step.Id, id) })
	select {
	case yes := <-ch:
		return yes
	case <-ctx.Done():
	case <-r.s.ctx.Done():
	}
	return true
}

// doWaitApplied answers once the replica has applied up to an index and would
// find it applied after a power loss.
func (r *Replica) doWaitApplied(ctx context.Context, index proto.Index) *pontoonpb.RangeReply {
	done := make(chan error, 1)
	r.post(func() {
		r.wakeUp() // nobody replicates to one that sleeps
		r.appliedWaits = append(r.appliedWaits, appliedWait{index, done})
		r.wakeAppliedWaits()
	})
	select {
	case err := <-done:
		if err == nil {
			err = r.s.opts.Engine.Sync()
		}
		if err != nil {
			return refusal(err)
		}
	case <-ctx.Done():
		return refusal(unavailable("index %d is not applied: %v", index, ctx.Err()))
	case <-r.s.ctx.Done():
		return refusal(unavailable("node is stopping"))
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_WaitApplied{WaitApplied: &pontoonpb.WaitAppliedReply{}}}
}

// appliedWait is somebody who waits for an index.
type appliedWait struct {
	index proto.Index
	done  chan error // buffered
}

// wakeAppliedWaits follows every apply, under mu.
func (r *Replica) wakeAppliedWaits() {
	kept := r.appliedWaits[:0]
	for _, w := range r.appliedWaits {
		if r.state.Index >= w.index {
			w.done <- nil
		} else {
			kept = append(kept, w)
		}
	}
	r.appliedWaits = kept
}

// mergeTick looks after a merge that nobody drives: a left leader aborts it, a
// right one asks the left range what became of it.
func (r *Replica) mergeTick(now time.Duration) {
	record := r.ev.Merge()
	if record == nil || r.asking {
		r.askAt = max(r.askAt, now+r.s.opts.electionTimeout())
		return
	}
	step := record.Step
	switch {
	case step.Kind == pontoonpb.MergeStep_BEGIN && r.driver == nil:
		r.inquire(func(ctx context.Context) {
			if r.run(ctx, newRequest(mergeStepOp(step.Left, stepOf(step, pontoonpb.MergeStep_ABORT)))).Error == nil {
				r.s.unfreeze(step)
			}
		})
	case step.Kind == pontoonpb.MergeStep_FREEZE && now >= r.askAt:
		r.askAt = now + r.s.opts.electionTimeout()
		r.inquire(func(ctx context.Context) {
			reply, err := r.s.send(ctx, mergeStepOp(step.Left, stepOf(step, pontoonpb.MergeStep_ABORT)))
			if err == nil && !reply.GetMergeStep().GetPending() {
				r.run(ctx, newRequest(mergeStepOp(step.Right, stepOf(step, pontoonpb.MergeStep_UNFREEZE))))
			}
		})
	}
}

// inquire runs fn in the background, one at a time.
func (r *Replica) inquire(fn func(context.Context)) {
	r.asking = true
	term := r.leaderTerm
	r.s.background(func() {
		ctx, cancel := r.s.deadline(stepTimeouts * r.s.opts.electionTimeout())
		defer cancel()
		fn(ctx)
		r.post(func() {
			if r.leaderTerm == term {
				r.asking = false
			}
		})
	})
}
