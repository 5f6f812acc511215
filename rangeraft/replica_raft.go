package rangeraft

import (
	"bytes"
	"log/slog"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	pproto "github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage"
)

// campaignTransfer is the context of votes asked for at the old leader's word.
const campaignTransfer = "CampaignTransfer"

// step hands one message to raft, keeping the promise and the lease.
func (r *Replica) step(m *raftpb.Message) {
	now := r.s.opts.Now()
	switch m.GetType() {
	case raftpb.MsgVote, raftpb.MsgPreVote:
		transfer := bytes.Equal(m.GetContext(), []byte(campaignTransfer))
		if !transfer && !r.promise.Free(now) {
			r.holdVote(m) // P3
			return
		}
		if !transfer {
			r.elect(now) // the leader is forgotten first, or raft refuses
		}
		r.vote(m, now)
		return
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		if pproto.Term(m.GetTerm()) >= r.term {
			r.promise.Heard(now)
			r.heard()
			r.candidacy.held = nil
			r.slumber.offer = offerOf(m)
		}
	case raftpb.MsgHeartbeatResp:
		r.heartbeatAnswered(m)
	case raftpb.MsgTimeoutNow:
		switch {
		case m.GetReject():
			r.leadDeclined(m)
			return
		case r.s.retiring.Load():
			r.declineLead(m)
			return
		}
	}
	if r.onlyCommits(m) {
		m = commitNews(m)
	}
	r.stepRaft(m)
	if m.GetType() == raftpb.MsgStorageAppendResp && m.GetSnapshot() != nil {
		r.snapshotApplied()
	}
}

// heartbeatAnswered takes the id out of the response: raft would read it as a
// position of its own read index.
func (r *Replica) heartbeatAnswered(m *raftpb.Message) {
	id, ok := leaderlease.ParseID(m.GetContext())
	m.Context = nil
	if !ok || !r.leading || pproto.Term(m.GetTerm()) != r.term {
		return
	}
	r.lease.Acked(pproto.ReplicaID(m.GetFrom()), id)
	r.leaseRenewed()
}

// onTick passes a tick on.
func (r *Replica) onTick() {
	now := r.s.opts.Now()
	if r.leading {
		r.rn.Tick()
	}
	r.elect(now)
	if r.retry > 0 && r.leaderNode.Load() == 0 && r.promise.Free(now) {
		r.retry--
		if r.raftRole != raft.StateCandidate || r.retry%max(1, r.pace.ticks/4) == 0 {
			r.campaign() // else votes are under way that this would void
		}
	}
	r.leaderTick(now)
	r.askIfQuiet()
}

// single reports whether this replica is the only voter.
func (r *Replica) single() bool {
	voters, self := 0, false
	for _, rep := range r.desc.Load().GetReplicas() {
		if rep.Role != pontoonpb.ReplicaRole_REPLICA_LEARNER {
			voters++
			self = self || rep.ReplicaId == uint64(r.replicaID)
		}
	}
	return voters == 1 && self
}

// campaignIfSingle makes the only voter leader at once.
func (r *Replica) campaignIfSingle() {
	if r.single() {
		r.campaign()
	}
}

func (r *Replica) campaign() {
	r.wakeUp()
	if err := r.rn.Campaign(); err != nil {
		r.log.Debug("campaign refused", slog.Any("error", err))
	}
}

// startRound sends a heartbeat to everyone now.
func (r *Replica) startRound() {
	if !r.leading {
		return
	}
	r.s.metrics.leaseRounds.Inc()
	// The beat is raft's own local message; it takes it from a local thread.
	_ = r.rn.Step(&raftpb.Message{Type: raftpb.MsgBeat.Enum(), From: new(raft.LocalApplyThread)})
}

// ready handles what raft has to do until it has nothing left.
func (r *Replica) ready() {
	for !r.gone && r.rn.HasReady() {
		rd := r.rn.Ready()
		if rd.HardState != nil {
			r.term = pproto.Term(rd.HardState.GetTerm())
		}
		if rd.SoftState != nil {
			r.roleChanged(rd.SoftState)
		}
		r.beat = 0
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				r.append(m)
			case raft.LocalApplyThread:
				if r.apply(m.GetEntries()); r.gone {
					return
				}
				for _, resp := range m.GetResponses() {
					r.step(resp)
				}
			default:
				r.send(m)
			}
		}
	}
}

// append hands a MsgStorageAppend to the log writer. A commit index is written
// only where a restart must know of it: raft may forget it, and apply writes as
// much when it comes to it.
func (r *Replica) append(m *raftpb.Message) {
	it := appendItem{r: r, msg: m}
	hs := hardStateOf(m)
	if hs != nil {
		r.unsaid = hs
	}
	entries := m.GetEntries()
	switch {
	case !raft.IsEmptySnap(m.GetSnapshot()):
		it.staged = r.takeStaged(m.GetSnapshot())
		r.subsume(it.staged.data.Descriptor())
		r.handed.changedBy(hs)
		r.tail, r.unsaid = storage.LogMark{}, nil
		r.s.writer.enqueue(it)
		return
	case r.handed.changedBy(hs), slices.ContainsFunc(entries, changesReplicas):
		r.sayHardState(m)
	case len(entries) == 0 && len(m.GetResponses()) == 0:
		return
	default:
		m.Term, m.Vote, m.Commit = nil, nil, nil
	}
	if n := len(entries); n > 0 {
		r.tail = storage.LogMark{Index: pproto.Index(entries[n-1].GetIndex()), Term: pproto.Term(entries[n-1].GetTerm())}
	}
	r.s.writer.enqueue(it)
}

// sayHardState gives a message the newest hard state. A log that holds a change
// of replicas must say that an earlier one is committed, else a restart before
// its apply would campaign among voters two changes back, who need not meet
// those of today (P12).
func (r *Replica) sayHardState(m *raftpb.Message) {
	if hs := r.unsaid; hs != nil {
		m.Term, m.Vote, m.Commit = hs.Term, hs.Vote, hs.Commit
	}
	r.unsaid = nil
}

func changesReplicas(e *raftpb.Entry) bool { return e.GetType() == raftpb.EntryConfChangeV2 }

// send prepares an outgoing message of this turn.
func (r *Replica) send(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgHeartbeat:
		if r.beat == 0 {
			r.beat = r.lease.Sent(r.s.opts.Now())
		}
		m.Context = r.beat.Bytes()
		if r.slumber.offers > 0 || r.slumber.led {
			m.Context = r.beat.Offer(r.state.Index)
		}
	case raftpb.MsgHeartbeatResp:
		if len(m.GetContext()) == 0 {
			return // to no heartbeat: see commitNews
		}
	case raftpb.MsgTimeoutNow:
		r.dropLease() // P2: before it can leave
	case raftpb.MsgSnap:
		r.startSnapshot(m)
		return
	}
	r.transmit(m)
}

// transmit puts a message on the wire. It needs no lock.
func (r *Replica) transmit(m *raftpb.Message) {
	node := r.peer(m.GetTo())
	if node == 0 {
		return
	}
	w, err := r.wrap(m)
	if err != nil {
		r.log.Error("raft message not marshalled", slog.Any("error", err))
		return
	}
	r.s.transport.Send(node, w)
}

func (r *Replica) wrap(m *raftpb.Message) (*pontoonpb.RaftMessage, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &pontoonpb.RaftMessage{
		RangeId: uint64(r.id), FromReplica: m.GetFrom(), ToReplica: m.GetTo(), Message: b,
	}, nil
}

// roleChanged follows raft's view of who leads.
func (r *Replica) roleChanged(st *raft.SoftState) {
	r.leaderNode.Store(uint64(r.peer(st.Lead)))
	was := r.leading
	r.raftRole = st.RaftState
	if st.Lead != raft.None {
		r.retry = 0
	}
	isLeader := st.RaftState == raft.StateLeader
	if was && (!isLeader || r.leaderTerm != r.term) {
		r.lost(pproto.NotLeader(pproto.NodeID(r.leaderNode.Load())))
	}
	if isLeader && !r.leading {
		r.gained()
	}
}
