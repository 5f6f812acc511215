package rangeraft

import (
	"log/slog"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage"
)

// pace is how fast a range's leader beats and how soon it is missed.
type pace struct {
	tick  time.Duration
	ticks int // of an election timeout
}

func (p pace) timeout() time.Duration { return time.Duration(p.ticks) * p.tick }

// minTick bounds how fast the root range beats.
const minTick = 50 * time.Millisecond

// pace returns a range's. The root range beats twice as fast as the others:
// while it has no leader nothing is written anywhere.
func (o *Options) pace(id proto.RangeID) pace {
	if half := o.TickInterval / 2; id == proto.RootRange && half >= minTick {
		return pace{half, o.ElectionTicks}
	}
	return pace{o.TickInterval, o.ElectionTicks}
}

// candidacy is a replica's part in the choice of a leader. raft's own election
// ticks are not used: followers get none. Guarded by Replica.mu.
type candidacy struct {
	*leaderlease.Election
	rank  int
	held  map[uint64]*raftpb.Message // newest vote request of each replica, for when the promise is over
	alarm leaderlease.Nanos          // when a turn comes by itself
}

// elect looks whether it is time for votes or a campaign (P3).
func (r *Replica) elect(now leaderlease.Nanos) {
	switch {
	case r.leading || r.gone || r.dormant():
		return
	case r.desc.Load() == nil:
		// It has no data to lead with, but a vote, without which the others may be
		// no majority: of the right side of a split that it slept through.
		if r.promise.Free(now) {
			_ = r.rn.ForgetLeader()
			r.letVote(now)
		}
		return
	}
	freeAt := r.promise.Until()
	if r.single() {
		freeAt = leaderlease.Never
	}
	if now >= freeAt && !r.candidacy.Silent() {
		r.candidacy.rank = rankOf(r.desc.Load(), uint64(r.replicaID), r.rn.BasicStatus().Lead)
	}
	d := r.candidacy.Decide(now, freeAt, r.candidacy.rank)
	if d.Silent {
		_ = r.rn.ForgetLeader() // so that it may vote
		r.letVote(now)
		d = r.candidacy.Decide(now, freeAt, r.candidacy.rank)
	}
	if d.Campaign {
		r.campaign()
	}
	r.wakeAt(now, d.Next)
}

// holdVote keeps a vote request that the promise forbids to answer: when it is
// over the candidate need not ask again.
func (r *Replica) holdVote(m *raftpb.Message) {
	if r.candidacy.held == nil {
		r.candidacy.held = map[uint64]*raftpb.Message{}
	}
	r.candidacy.held[m.GetFrom()] = m
}

// letVote hands the held requests to raft. A leader that was heard meanwhile
// has voided them.
func (r *Replica) letVote(now leaderlease.Nanos) {
	held := r.candidacy.held
	r.candidacy.held = nil
	for _, m := range held {
		r.vote(m, now)
	}
}

// vote hands a request to raft.
func (r *Replica) vote(m *raftpb.Message, now leaderlease.Nanos) {
	if !r.leading {
		last := r.lastOfLog()
		behind := proto.Term(m.GetLogTerm()) < last.Term ||
			proto.Term(m.GetLogTerm()) == last.Term && proto.Index(m.GetIndex()) < last.Index
		switch {
		case behind:
			r.candidacy.Hurry(now)
		case m.GetType() == raftpb.MsgVote:
			r.candidacy.Voted(now)
		}
	}
	r.stepRaft(m)
}

func (r *Replica) stepRaft(m *raftpb.Message) {
	if err := r.rn.Step(m); err != nil && err != raft.ErrProposalDropped {
		r.log.Debug("raft refused a message", slog.String("type", m.GetType().String()), slog.Any("error", err))
	}
}

// wakeAt gives the replica a turn when it is due, if that comes before its next
// tick.
func (r *Replica) wakeAt(now, at leaderlease.Nanos) {
	wait := time.Duration(at - now)
	if at == leaderlease.Never || wait > r.pace.tick || at == r.candidacy.alarm {
		return
	}
	r.candidacy.alarm = at
	time.AfterFunc(max(0, wait), func() { r.post(func() { r.elect(r.s.opts.Now()) }) })
}

// rankOf is a replica's place among those who may follow the leader lead, in an
// order that differs from range to range, so that the ranges of a dead node are
// spread; -1 if it has no vote.
func rankOf(d *pontoonpb.Descriptor, self, lead uint64) int {
	var voters []uint64
	for _, rep := range d.GetReplicas() {
		if rep.Role != pontoonpb.ReplicaRole_REPLICA_LEARNER && (rep.ReplicaId != lead || lead == self) {
			voters = append(voters, rep.ReplicaId)
		}
	}
	slices.Sort(voters)
	i := slices.Index(voters, self)
	if i < 0 {
		return -1
	}
	n := len(voters)
	return (i + n - int(d.RangeId%uint64(n))) % n
}

// lastOfLog is the end of the log as far as it is written.
func (r *Replica) lastOfLog() storage.LogMark {
	if r.tail.Index > 0 {
		return r.tail
	}
	log := r.s.opts.Engine.Log(r.id)
	last, err := log.LastIndex()
	if err != nil {
		return storage.LogMark{}
	}
	term, err := log.Term(last)
	if err != nil {
		return storage.LogMark{}
	}
	return storage.LogMark{Index: proto.Index(last), Term: proto.Term(term)}
}
