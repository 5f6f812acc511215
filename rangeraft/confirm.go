package rangeraft

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// confirmation waits for proof that this leader led at or after an instant.
type confirmation struct {
	at   leaderlease.Nanos
	done func(error)
}

// confirm calls done with nil once the leadership is proven for an instant
// after the call: by the leader lease at once, or by a quorum round that
// starts now (P5). If the leadership ends first done gets the redirect.
// Rounds of one turn are folded into one.
//
// raft's own ReadIndex is not used: it keeps a counter in the same Context of
// heartbeats that carries our ids, and would read them as its positions.
func (r *Replica) confirm(done func(error)) {
	if !r.leading {
		done(proto.NotLeader(proto.NodeID(r.leaderNode.Load())))
		return
	}
	now := r.s.opts.Now()
	r.vouched(r.slumber.led)
	if !r.s.opts.DisableLeaderLease && r.lease.Valid(now) {
		done(nil)
		return
	}
	if r.lease.QuorumSince(now, now) { // a single voter
		done(nil)
		return
	}
	r.wakeUp() // a round is wanted
	r.confirming = append(r.confirming, confirmation{now, done})
	r.wantBeat = true
}

// leaseRenewed follows new acknowledgements.
func (r *Replica) leaseRenewed() {
	now := r.s.opts.Now()
	if r.ev != nil && !r.s.opts.DisableLeaderLease {
		r.leaseUntil.Store(int64(r.lease.ValidUntil(now)))
	}
	r.quorumAt.Store(int64(r.lease.QuorumTime(now)))
	n := 0
	for n < len(r.confirming) && r.lease.QuorumSince(r.confirming[n].at, now) {
		n++
	}
	ready := r.confirming[:n]
	r.confirming = r.confirming[n:]
	for _, c := range ready {
		c.done(nil)
	}
}

// dropLease gives the lease up for the term (P2): quorum rounds serve from now
// on.
func (r *Replica) dropLease() {
	if !r.leading {
		return
	}
	r.lease.Drop()
	r.leaseUntil.Store(int64(leaderlease.Never))
	r.leaveClosed()
}

// leaseCheck returns the proof of this term's leadership for the sequencer.
func (r *Replica) leaseCheck(term proto.Term) LeaseCheck {
	return func(ctx context.Context) error {
		if !r.s.opts.DisableLeaderLease && r.leaseUntil.Load() > int64(r.s.opts.Now()) && r.servingTerm.Load() == uint64(term) {
			return nil
		}
		ch := make(chan error, 1)
		r.post(func() {
			if r.leaderTerm != term {
				ch <- proto.NotLeader(proto.NodeID(r.leaderNode.Load()))
				return
			}
			r.confirm(func(err error) { ch <- err })
		})
		select {
		case err := <-ch:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-r.s.ctx.Done():
			return unavailable("node is stopping")
		}
	}
}

// leaseEnd is when the leader lease lapses, without mu: by the range's own
// rounds, or while it sleeps by those of the node pairs (P48).
func (r *Replica) leaseEnd() leaderlease.Nanos {
	own := leaderlease.Nanos(r.leaseUntil.Load())
	if with := r.asleep.Load(); with != nil {
		return max(own, r.s.sleepers.leaseEnd(r.id, with, r.lease))
	}
	return own
}
