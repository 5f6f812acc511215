package rangeraft

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// A range falls asleep and wakes (P48):
//
//	leader idle --offers, in its heartbeats--> voters with an equal log sleep
//	            <--------sleep, by node pair--
//	all voters sleep: the leader sleeps, too   no ticks, no heartbeats
//
// A leader wakes by whatever it must propose, a follower by any message that is
// not an offer, and both by the silence of the other's node.
type slumber struct {
	under proto.NodeID // a follower: the node of its leader
	led   bool         // a leader
	cold  bool         // of this process, nothing of a leader known yet

	idle   int    // ticks that a leader had nothing to do
	offers int    // ticks that it offered sleep; 0: it does not
	need   int    // idle ticks before the next offer
	offer  *offer // of the leader, to be answered at the end of the turn
}

// offer is what a leader says when it offers sleep.
type offer struct {
	from  uint64
	term  proto.Term
	index proto.Index
}

// asleepWith is what others may know of a leader that sleeps, without mu. Each
// sleep has one of its own.
type asleepWith struct {
	term   proto.Term
	others []proto.NodeID // of its other voters
	// reported is the first report that named the range in this sleep, when its
	// load had faded; 0: none. Guarded by the store's reports.
	reported uint64
}

// maxOffers is how many ticks a leader offers before it gives up for a while.
const maxOffers = 10

// offerOf returns what a heartbeat offers, nil if it is a plain one.
func offerOf(m *raftpb.Message) *offer {
	index, ok := leaderlease.ParseOffer(m.GetContext())
	if m.GetType() != raftpb.MsgHeartbeat || !ok {
		return nil
	}
	return &offer{m.GetFrom(), proto.Term(m.GetTerm()), index}
}

// dormant reports whether the replica neither ticks nor campaigns.
func (r *Replica) dormant() bool { return r.slumber.under != 0 || r.slumber.led || r.slumber.cold }

// hears decides whether a message wakes a dormant replica. False: the message
// is not for raft.
func (r *Replica) hears(m *raftpb.Message) bool {
	now := r.s.opts.Now()
	typ := m.GetType()
	switch {
	case raft.IsLocalMsg(typ) || raft.IsLocalMsgTarget(m.GetFrom()) || m.GetFrom() == uint64(r.replicaID):
		return true
	case typ == raftpb.MsgHeartbeatResp && r.slumber.led:
		return true
	case r.slumber.under != 0 && offerOf(m) != nil && proto.Term(m.GetTerm()) == r.term:
		return true
	case (typ == raftpb.MsgVote || typ == raftpb.MsgPreVote) && r.slumber.under != 0 && string(m.GetContext()) != campaignTransfer:
		if free := r.sleepers().heard(r.slumber.under).Add(r.pace.timeout()); now < free { // P3
			r.holdVote(m)
			time.AfterFunc(time.Duration(free-now), func() { r.post(r.wakeIfAlone) })
			return false
		}
	}
	r.wakeUp()
	r.wantBeat = r.leading // whoever asks shall know who leads
	return true
}

func (r *Replica) sleepers() *sleepers { return r.s.sleepers }

// wakeUp ends any sleep.
func (r *Replica) wakeUp() {
	if !r.dormant() {
		r.slumber.idle = 0
		return
	}
	was := r.slumber
	r.slumber = slumber{need: was.need}
	r.asleep.Store(nil)
	r.hibernating.Store(false)
	switch {
	case was.under != 0:
		if heard := r.sleepers().wake(was.under, r.id); heard != leaderlease.Never {
			r.promise.Heard(heard)
		}
	case was.led:
		r.vouched(was.led)
		r.leaseRenewed()
	}
	r.sleepers().awake(r)
}

// wakeIfAlone wakes a replica that has no leader any more, so that it campaigns
// in its turn.
func (r *Replica) wakeIfAlone() {
	now := r.s.opts.Now()
	alone := r.slumber.cold ||
		r.slumber.under != 0 && now >= r.sleepers().heard(r.slumber.under).Add(r.pace.timeout()) ||
		r.slumber.led && now >= r.sleepers().leaseEnd(r.id, r.asleep.Load(), r.lease)
	if alone {
		r.wakeUp()
		r.elect(now)
	}
}

// vouched takes over what the node pairs acknowledged for the range while it
// slept.
func (r *Replica) vouched(led bool) {
	if !led || !r.leading {
		return
	}
	for _, rep := range r.desc.Load().Replicas {
		if rep.ReplicaId == uint64(r.replicaID) {
			continue
		}
		if at := r.sleepers().covered(proto.NodeID(rep.NodeId), r.id, r.leaderTerm); at != leaderlease.Never {
			r.lease.AckedAt(proto.ReplicaID(rep.ReplicaId), at)
		}
	}
}

// drowse lets an idle leader fall asleep. It is called by tick.
func (r *Replica) drowse() {
	z := &r.slumber
	if !r.leading || z.led || !r.restful() {
		z.idle, z.offers = 0, 0
		return
	}
	z.need = max(z.need, r.s.opts.hibernateTicks())
	if z.idle++; z.idle < z.need {
		return
	}
	others, ok := r.equals()
	if !ok {
		z.idle, z.offers = 0, 0
		return
	}
	if z.offers++; z.offers > maxOffers {
		z.idle, z.offers, z.need = 0, 0, min(2*z.need, 16*r.s.opts.hibernateTicks())
		return
	}
	if z.offers > 1 && r.sleepers().allAsleep(r.id, r.leaderTerm, others) {
		r.fallAsleep(others)
		return
	}
	r.sleepers().expect(others)
}

// restful reports whether nothing of the range is under way or to be watched.
func (r *Replica) restful() bool {
	if r.id == proto.RootRange || !r.s.opts.hibernates() {
		return false
	}
	if r.ev == nil || !r.inClosed || !r.ev.Quiescent() || r.lease.Dropped() || r.handing || r.merge.Load() != nil {
		return false
	}
	return len(r.requests)+len(r.reads)+len(r.early)+len(r.confirming)+len(r.sending)+len(r.appliedWaits) == 0
}

// equals returns the nodes of the other voters if all of them have the whole
// log.
func (r *Replica) equals() (others []proto.NodeID, ok bool) {
	st := r.rn.Status()
	last := uint64(r.state.Index)
	replicas := r.desc.Load().Replicas
	if st.HardState.GetCommit() != last || uint64(r.lastOfLog().Index) != last || len(st.Progress) != len(replicas) {
		return nil, false
	}
	for _, rep := range replicas {
		pr := st.Progress[rep.ReplicaId]
		if rep.Role != pontoonpb.ReplicaRole_REPLICA_VOTER || pr.Match != last {
			return nil, false
		}
		if rep.ReplicaId == uint64(r.replicaID) {
			continue
		}
		if pr.State != tracker.StateReplicate {
			return nil, false
		}
		others = append(others, proto.NodeID(rep.NodeId))
	}
	return others, true
}

// fallAsleep ends the leader's ticks and heartbeats.
func (r *Replica) fallAsleep(others []proto.NodeID) {
	r.slumber = slumber{led: true, need: r.s.opts.hibernateTicks()}
	r.asleep.Store(&asleepWith{term: r.leaderTerm, others: others})
	r.lease.Rest()
	r.ev.Forget()
	r.hibernating.Store(true)
	r.sleepers().rest(r)
}

// answerOffer lets a follower sleep whose log equals the leader's.
func (r *Replica) answerOffer() {
	o := r.slumber.offer
	r.slumber.offer = nil
	if o == nil || r.leading || r.gone || r.desc.Load() == nil || r.merge.Load() != nil {
		return
	}
	bs := r.rn.BasicStatus()
	equal := o.term == r.term && bs.Lead == o.from && bs.RaftState == raft.StateFollower &&
		bs.HardState.GetCommit() == uint64(o.index) && r.state.Index == o.index && r.lastOfLog().Index == o.index &&
		len(r.staged) == 0 && roleOf(r.desc.Load(), r.replicaID) == pontoonpb.ReplicaRole_REPLICA_VOTER
	node := nodeOf(r.desc.Load(), proto.ReplicaID(o.from))
	if !equal || node == 0 || node == r.s.opts.NodeID || !r.s.opts.hibernates() {
		return
	}
	if r.slumber.under != 0 && r.slumber.under != node {
		r.wakeUp()
	}
	r.promise.Heard(r.s.opts.Now()) // an older beat may be acknowledged for it
	r.slumber = slumber{under: node}
	r.hibernating.Store(true)
	r.sleepers().sleep(r, node, o.term)
}

// offerTo offers sleep to a voter that restarted while the leader slept.
func (r *Replica) offerTo(node proto.NodeID) {
	to, ok := replicaOn(r.desc.Load(), node)
	if !ok || !r.slumber.led {
		r.sleepers().found(node, r.id)
		return
	}
	id := r.lease.Sent(r.s.opts.Now())
	r.transmit(&raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(r.replicaID)), To: new(uint64(to)), Term: new(uint64(r.leaderTerm)),
		Commit: new(uint64(r.state.Index)), Context: id.Offer(r.state.Index),
	})
}

// endSleep forgets the replica: it goes.
func (r *Replica) endSleep() {
	if r.slumber.under != 0 {
		r.sleepers().wake(r.slumber.under, r.id)
	}
	r.slumber = slumber{}
	r.asleep.Store(nil)
	r.sleepers().rest(r)
}

// rouseOthers tells voters that sleep under this leader that it is one no more.
func (r *Replica) rouseOthers() {
	for _, rep := range r.desc.Load().GetReplicas() {
		if rep.ReplicaId != uint64(r.replicaID) {
			r.sleepers().rouse(proto.NodeID(rep.NodeId), r.id)
		}
	}
}
