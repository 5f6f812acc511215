package rangeraft

import (
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// leader is what a replica keeps while raft says that it leads. All of it is
// guarded by Replica.mu.
type leader struct {
	leading    bool
	leaderTerm proto.Term
	ev         *evaluator.Evaluator // nil until an entry of the term is applied (P1)
	state0     stateReader          // what the evaluator reads
	nextID     evaluator.RequestID
	requests   map[evaluator.RequestID]*request
	reads      map[evaluator.RequestID]*request
	early      []*request     // came before ev
	confirming []confirmation // wait for a quorum round
	inClosed   bool           // in the side stream of closed revisions
	proving    bool           // a round runs for the sake of closing
	handing    bool           // the lead is being handed over
	retired    bool           // the sequencer's term ended before this leadership (P6)
	lessor     bool           // Lessor.Gained was called
	handOver   func()         // runs once nothing is under way any more
	ledTicks   int            // ticks of this leadership
	// nextTruncate is the tick from which the log may be truncated, though the
	// truncation to truncatingTo did not happen: not before every live replica had
	// the time to answer.
	nextTruncate int
	truncatingTo uint64        // what was proposed last; at first everything
	truncatedAt  int64         // bytes applied by then
	driver       *mergeDriver  // of a merge with the right neighbour
	asking       bool          // somebody inquires about a merge
	askAt        time.Duration // when a frozen range asks
}

// gained begins a leadership of raft. It serves nothing yet (P1).
func (r *Replica) gained() {
	r.leader = leader{leading: true, leaderTerm: r.term,
		requests: map[evaluator.RequestID]*request{}, reads: map[evaluator.RequestID]*request{},
		nextTruncate: r.s.opts.ElectionTicks, truncatingTo: math.MaxUint64}
	r.leader.state0.r = r
	r.lease.Lead(r.term, r.voters())
	r.lease.SetLeaving(r.s.leavers.of(r.desc.Load()))
	r.wantBeat = true // the lease is wanted now, not at the next tick
	r.s.metrics.elections.Inc()
	r.log.Info("leader", slog.Uint64("term", uint64(r.term)))
}

// lost ends it. Everything that waits is answered with err, or as ambiguous.
func (r *Replica) lost(err *proto.RangeError) {
	if !r.leading {
		return
	}
	r.wakeUp()
	r.leading = false
	r.rouseOthers()
	r.servingTerm.Store(0)
	r.lease.Follow()
	r.leaseUntil.Store(int64(leaderlease.Never))
	r.quorumAt.Store(int64(leaderlease.Never))
	r.candidacy.Postpone(r.s.opts.Now()) // nobody answers it, or another was chosen
	r.s.closing.stopLeading(r)
	if r.ev != nil {
		r.ev.Fail(err)
		r.drain()
		r.ev = nil
	}
	r.state0.close()
	for _, c := range r.confirming {
		c.done(err)
	}
	refuseAll(r.early, err)
	if r.id == proto.RootRange && r.s.opts.Root != nil {
		r.s.opts.Root.Lost(r.leaderTerm)
	}
	if r.lessor {
		r.s.opts.Lessor.Lost(r.id)
	}
	r.log.Info("no longer leader", slog.Uint64("term", uint64(r.leaderTerm)))
	r.leader = leader{}
}

// voters is raft's configuration for the lease.
func (r *Replica) voters() leaderlease.Voters {
	joint := r.rn.Status().Config.Voters
	var v leaderlease.Voters
	for _, set := range joint {
		var ids []proto.ReplicaID
		for id := range set {
			ids = append(ids, proto.ReplicaID(id))
		}
		if len(ids) > 0 {
			v = append(v, ids)
		}
	}
	return v
}

// ownTermApplied begins to serve: everything of earlier terms is applied (P1).
func (r *Replica) ownTermApplied() {
	if !r.leading || r.ev != nil || r.state.Term != r.leaderTerm {
		return
	}
	opts := evaluator.Options{
		Term: r.leaderTerm, Replica: r.replicaID, Descriptor: r.desc.Load(), Closed: r.closed(),
		State: &r.state0, Numbers: r.s.opts.Sequencer, Now: time.Duration(r.s.opts.Now()),
		MaxBatchBytes: r.s.opts.MaxBatchBytes, PipelineAt: r.s.opts.PipelineAt, Recent: r.s.recent, BlockedAfter: r.s.opts.electionTimeout(),
	}
	if r.s.opts.Lessor != nil && r.span().Overlaps(keys.LeaseSpan) {
		opts.Lessor = r.s.opts.Lessor
	}
	ev, err := evaluator.New(opts)
	if err != nil {
		r.s.fault("read the locks of a range", err)
		return
	}
	r.ev = ev
	r.servingTerm.Store(uint64(r.leaderTerm))
	r.load.restart(r.span(), r.s.opts.Now())
	r.s.closing.startLeading(r)
	r.leaseRenewed()
	r.tellLessor()
	r.tellRootGained()
	r.tellDirectory(r.desc.Load())
	early := r.early
	r.early = nil
	for _, q := range early {
		r.begin(q)
	}
}

// drain does what the evaluator wants done until it wants nothing.
func (r *Replica) drain() {
	for r.ev != nil {
		actions := r.ev.Drain()
		if len(actions) == 0 {
			r.maybeHandOver()
			return
		}
		for _, a := range actions {
			r.act(a)
		}
	}
}

func (r *Replica) act(a evaluator.Action) {
	switch a := a.(type) {
	case evaluator.Ask:
		r.ask(a)
	case evaluator.Propose:
		r.propose(a.Command)
	case evaluator.Answer:
		r.answer(a)
	case evaluator.ReadReady:
		if q := r.reads[a.ID]; q != nil {
			delete(r.reads, a.ID)
			if a.Err != nil {
				q.refuse(a.Err)
				return
			}
			r.confirm(q.admitted)
		}
	case evaluator.NeedRegistration:
		r.register(a)
	case evaluator.TxnBlocked:
		r.s.resolveTxn(r.id, a)
	}
}

func (r *Replica) ask(a evaluator.Ask) {
	if !r.leading {
		return
	}
	r.leaveClosed() // before the ask is sent (P19)
	ev := r.ev
	r.s.opts.Sequencer.Ask(a.Count, a.Floor, a.AuthEpoch, func(g Grant, err error) {
		r.post(func() {
			if r.ev == ev {
				ev.Granted(a.Token, evaluator.Grant{First: g.First, Read: g.Read, EpochsChanged: g.EpochsChanged}, err)
			}
		})
	})
}

// propose hands a command of the present term to raft (P12).
func (r *Replica) propose(cmd *pontoonpb.Command) {
	r.leaveClosed()
	r.wakeUp()
	data, err := cmd.MarshalVT()
	if err == nil && (!r.leading || r.leaderTerm != proto.Term(cmd.Term)) {
		err = errors.New("term is over")
	}
	switch {
	case err != nil:
	case cmd.Change != nil:
		err = r.proposeChange(cmd, data)
	default:
		err = r.rn.Propose(data)
	}
	if err != nil {
		r.ev.Dropped(cmd.Batch)
		return
	}
	r.s.metrics.proposals.Inc()
	r.load.writeBytes.Add(int64(len(data)))
}

func (r *Replica) answer(a evaluator.Answer) {
	q := r.requests[a.ID]
	if q == nil {
		return
	}
	delete(r.requests, a.ID)
	q.lockedReads = a.LockedReads
	if !a.CheckLease {
		q.finish(a.Reply)
		return
	}
	// Nothing in this term's log proves the answer (P11).
	r.confirm(func(err error) {
		if err != nil {
			q.refuse(err)
			return
		}
		q.finish(a.Reply)
	})
}

func (r *Replica) register(a evaluator.NeedRegistration) {
	ev, home := r.ev, r.s.opts.LeaseHome
	r.s.background(func() {
		var (
			incarnation uint64
			found       bool
			err         error = unavailable("no lease home")
		)
		if home != nil {
			ctx, cancel := r.s.deadline(5 * r.s.opts.electionTimeout())
			defer cancel()
			incarnation, found, err = home.Register(ctx, a.Lease, a.Span)
		}
		r.post(func() {
			if r.ev == ev {
				ev.Registered(a.Token, incarnation, found, err)
			}
		})
	})
}

// leaderTick is the leader's housekeeping.
func (r *Replica) leaderTick(now leaderlease.Nanos) {
	if !r.leading {
		return
	}
	r.leaseRenewed()
	if r.ev == nil {
		return
	}
	r.ev.Tick(time.Duration(now))
	r.drain()
	r.mergeTick(time.Duration(now))
	r.maybeTruncate()
	r.drowse()
	r.handOverIfOutgoing()
	if !r.inClosed {
		r.closeIdle()
	}
}
