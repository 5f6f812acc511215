package rangeraft

import (
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/rangeraft/feed"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage"
)

// Replica is one member of a range's group.
type Replica struct {
	s         *Store
	id        proto.RangeID
	replicaID proto.ReplicaID
	log       rangeLogger
	made      leaderlease.Nanos
	turn      turn // of the scheduler
	inbox     inbox
	written   writtenVote // of the log writer

	// Published for readers without mu.
	desc        atomic.Pointer[pontoonpb.Descriptor]    // applied; nil: uninitialised
	leaderNode  atomic.Uint64                           // 0: not known
	published   atomic.Pointer[position]                // applied, visible and told to the feed
	servingTerm atomic.Uint64                           // term in which the range is served here
	leaseUntil  atomic.Int64                            // end of the leader lease; leaderlease.Never without
	quorumAt    atomic.Int64                            // quorum time, for closing without leader leases
	hub         *feed.Hub                               // never nil once initialised
	peersOf     atomic.Pointer[map[uint64]proto.NodeID] // of replicas that desc does not name
	counts      liveCounts
	asleep      atomic.Pointer[asleepWith] // of a leader that sleeps (P48)
	hibernating atomic.Bool
	load        load
	size        sizeEstimate
	merge       atomic.Pointer[pontoonpb.MergeRecord] // remembered (P46)
	writers     atomic.Int64                          // clients' writes under way

	mu        sync.Mutex // I1: guards everything below
	gone      bool       // replaced or stopped: nothing may happen any more
	rn        *raft.RawNode
	state     storage.AppliedState
	lease     *leaderlease.Lease
	promise   *leaderlease.Promise
	pace      pace
	candidacy candidacy
	slumber   slumber
	raftRole  raft.StateType
	term      proto.Term
	beat      leaderlease.ID // round of the Ready being handled; 0: none yet
	wantBeat  bool           // a round must start at the end of the turn
	retry     int            // ticks on which to campaign again after a split
	staged    []*stagedSnapshot
	sending   map[proto.ReplicaID]*outgoing // raft snapshots under way
	reload    bool                          // a raft snapshot replaced the state
	unsaid    *raftpb.HardState             // newest, while its commit index is not worth a write
	handed    writtenVote                   // to the log writer last
	quiet     quiet                         // since a leader was heard of
	tail      storage.LogMark               // end of raft's log after the last Ready; zero: not known

	appliedWaits []appliedWait
	subsuming    []proto.RangeID // go with the raft snapshot that is being ingested

	leader // set while raft says leader
}

// position is how far a replica's applied state is visible.
type position struct {
	index  proto.Index
	term   proto.Term
	closed proto.Revision
}

// inbox collects what waits for a replica's turn.
type inbox struct {
	mu       sync.Mutex
	messages []*raftpb.Message
	requests []*request
	calls    []func()
	ticked   bool
}

// mail is an emptied inbox.
type mail struct {
	messages []*raftpb.Message
	requests []*request
	calls    []func()
	ticked   bool
}

func (b *inbox) take() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := mail{b.messages, b.requests, b.calls, b.ticked}
	b.messages, b.requests, b.calls, b.ticked = nil, nil, nil, false
	return m
}

// maxInboxMessages bounds raft messages that wait for a turn; raft repeats
// what is dropped beyond. Local responses are never dropped.
const maxInboxMessages = 16384

// newReplica makes a replica over what the engine holds of it, which does nothing
// before addLocked. bound: an earlier life may have promised not to vote (P3).
func (s *Store) newReplica(id proto.RangeID, self proto.ReplicaID, bound bool) (*Replica, error) {
	store := s.opts.Engine.Log(id)
	st := store.Applied()
	pace := s.opts.pace(id)
	r := &Replica{
		s: s, id: id, replicaID: self, state: st,
		log: rangeLogger{s.log, id}, made: s.opts.Now(),
		lease:   leaderlease.NewLease(self, leaderlease.Duration(pace.timeout(), pace.tick, s.opts.ClockDriftPerMille)),
		promise: leaderlease.NewPromise(pace.timeout(), s.started, bound),
		pace:    pace, candidacy: candidacy{Election: leaderlease.NewElection(pace.timeout(), s.started)},
	}
	r.counts.reset(st.Index, st.LiveKeys)
	desc := store.Descriptor()
	r.hub = feed.NewHub(s.opts.Feed, proto.SpanOf(desc.GetSpan()), desc.GetGeneration(), st.Closed)
	r.leaseUntil.Store(int64(leaderlease.Never))
	r.quorumAt.Store(int64(leaderlease.Never))
	r.setDescriptor(desc)
	r.publish()
	if err := r.loadMerge(); err != nil {
		return nil, err
	}
	rn, err := raft.NewRawNode(&raft.Config{
		ID: uint64(self), ElectionTick: pace.ticks, HeartbeatTick: 1,
		Storage: store, Applied: uint64(st.Index), AsyncStorageWrites: true,
		MaxSizePerMsg: s.opts.MaxMessageBytes, MaxCommittedSizePerReady: 16 << 20,
		MaxUncommittedEntriesSize: s.opts.MaxUncommittedBytes, MaxInflightMsgs: s.opts.MaxInflight,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true, StepDownOnRemoval: true,
		Logger: raftLogger{r.log},
	})
	if err != nil {
		return nil, err
	}
	r.rn = rn
	bs := rn.BasicStatus()
	r.term = proto.Term(bs.HardState.GetTerm())
	return r, nil
}

// addLocked makes a replica that is complete one of the store's: from now on it
// gets turns.
func (s *Store) addLocked(r *Replica) {
	s.replicas[r.id] = r
	s.list.Store(nil)
	s.sleepers.awake(r) // whoever ends the replica finds it above, and ends its ticks after this
}

func (s *Store) dropLocked(id proto.RangeID) {
	delete(s.replicas, id)
	s.list.Store(nil)
}

// setDescriptor publishes the applied descriptor.
func (r *Replica) setDescriptor(d *pontoonpb.Descriptor) {
	if old := r.peersOf.Load(); d == nil && old != nil {
		return
	}
	r.peersOf.Store(&noPeers)
	r.desc.Store(d)
}

// noPeers is what a replica learned whose descriptor names everyone. It is
// never changed.
var noPeers = map[uint64]proto.NodeID{}

// peer returns the node of another replica, 0 if it is not known.
func (r *Replica) peer(id uint64) proto.NodeID {
	if n := nodeOf(r.desc.Load(), proto.ReplicaID(id)); n != 0 {
		return n
	}
	return (*r.peersOf.Load())[id]
}

// learnPeer remembers the node of a replica that the applied descriptor does
// not name: there is none yet, or it is behind, and the leader may be a replica
// that came later.
func (r *Replica) learnPeer(id uint64, node proto.NodeID) {
	if at := r.peer(id); at == node || at != 0 && r.desc.Load() != nil {
		return
	}
	old := r.peersOf.Load()
	nodes := map[uint64]proto.NodeID{id: node}
	for k, v := range *old {
		if k != id {
			nodes[k] = v
		}
	}
	r.peersOf.CompareAndSwap(old, &nodes) // else at its next message
}

// publish shows how far the applied state has come, after the feed has it.
func (r *Replica) publish() {
	r.published.Store(&position{r.state.Index, r.state.Term, r.state.Closed})
	r.wakeAppliedWaits()
}

func (r *Replica) span() proto.Span { return proto.SpanOf(r.desc.Load().GetSpan()) }

// closed is what the replica knows to be closed: by entries, or by the side
// stream.
func (r *Replica) closed() proto.Revision {
	p := r.published.Load()
	return max(p.closed, r.s.closing.believed(r.id, p.term, p.index))
}

// receive takes a message of raft for the replica's next turn.
func (r *Replica) receive(m *raftpb.Message) {
	r.inbox.mu.Lock()
	if len(r.inbox.messages) >= maxInboxMessages && !raft.IsLocalMsgTarget(m.GetFrom()) && m.GetFrom() != uint64(r.replicaID) {
		r.inbox.mu.Unlock()
		return
	}
	r.inbox.messages = append(r.inbox.messages, m)
	r.inbox.mu.Unlock()
	r.s.scheduler.signal(r)
}

// post runs fn in the replica's next turn, under mu.
func (r *Replica) post(fn func()) {
	r.inbox.mu.Lock()
	r.inbox.calls = append(r.inbox.calls, fn)
	r.inbox.mu.Unlock()
	r.s.scheduler.signal(r)
}

func (r *Replica) submit(q *request) {
	r.inbox.mu.Lock()
	r.inbox.requests = append(r.inbox.requests, q)
	r.inbox.mu.Unlock()
	r.s.scheduler.signal(r)
}

func (r *Replica) tick() {
	r.inbox.mu.Lock()
	r.inbox.ticked = true
	r.inbox.mu.Unlock()
	r.s.scheduler.signal(r)
}

// process is a turn: everything that waits, then what follows from it.
func (r *Replica) process() {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.inbox.take()
	if r.gone {
		refuseAll(m.requests, unavailable("replica is gone"))
		return
	}
	for _, msg := range m.messages {
		if !r.dormant() || r.hears(msg) {
			r.step(msg)
		}
	}
	r.ready()
	for _, fn := range m.calls {
		if r.gone { // it was removed in this turn
			break
		}
		fn()
	}
	for _, q := range m.requests {
		r.begin(q)
	}
	if m.ticked && !r.gone && !r.dormant() {
		r.onTick()
	}
	r.settle()
	r.answerOffer()
}

// settle drives evaluator and raft until both are quiet.
func (r *Replica) settle() {
	for !r.gone {
		r.drain()
		if r.wantBeat {
			r.wantBeat = false
			r.startRound()
		}
		if !r.rn.HasReady() {
			break
		}
		r.ready()
	}
	r.state0.close()
}

// stop ends the replica for good.
func (r *Replica) stop() { r.end(unavailable("node is stopping")) }

// end is stop for a reason that whoever waits is told.
func (r *Replica) end(cause *proto.RangeError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return
	}
	r.endLocked(cause)
}

// endLocked answers everything that waits and lets nothing happen any more.
func (r *Replica) endLocked(cause *proto.RangeError) {
	r.lost(cause)
	r.gone = true
	r.endSleep()
	m := r.inbox.take()
	refuseAll(m.requests, cause)
	for _, w := range r.appliedWaits {
		w.done <- cause
	}
	for _, st := range r.staged {
		st.discard()
	}
	r.hub.Close(cause)
}

func unavailable(format string, args ...any) *proto.RangeError {
	return proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, format, args...)
}

// status describes the range as this replica sees it; nil while uninitialised.
func (r *Replica) status() *pontoonpb.RangeStatus {
	d := r.desc.Load()
	if d == nil {
		return nil
	}
	log := r.s.opts.Engine.Log(r.id)
	st := log.Applied()
	firstIndex, _ := log.FirstIndex()
	lastIndex, _ := log.LastIndex()
	hs, _, _ := log.InitialState()
	return &pontoonpb.RangeStatus{
		Desc: d, LeaderNode: r.leaderNode.Load(), Term: hs.GetTerm(),
		AppliedIndex: uint64(st.Index), FirstIndex: firstIndex, LastIndex: lastIndex,
		Closed: int64(r.closed()), Floor: int64(st.Floor), LiveKeys: r.counts.now(), SizeBytes: r.sizeNow(proto.SpanOf(d.Span), st.Index),
		NodeId:           uint64(r.s.opts.NodeID),
		LeaderLeaseValid: r.leaseEnd() > r.s.opts.Now(), Hibernating: r.hibernating.Load(),
		Load:     r.loadNow(d),
		Frozen:   r.merge.Load().GetStep().GetKind() == pontoonpb.MergeStep_FREEZE,
		Progress: r.progress(d),
	}
}

var _ evaluator.State = (*stateReader)(nil)
