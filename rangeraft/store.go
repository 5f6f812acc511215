package rangeraft

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/storage"
)

// Store holds the replicas of one node. All methods are safe for concurrent
// use.
type Store struct {
	opts      Options
	log       *slog.Logger
	metrics   *metrics
	scheduler *scheduler
	writer    *logWriter
	transport *transport.Transport
	closing   *closing
	sleepers  *sleepers
	dropper   *storage.Dropper
	resolving *resolving
	sizing    sizeBudget
	recent    *evaluator.Budget // what leaders remember
	writing   atomic.Int64      // bytes of clients' writes under way
	boot      uint64            // tells this life from others in merge ids
	merges    atomic.Uint64     // counts them
	snapshots chan struct{}     // one token per raft snapshot being sent
	aside     chan struct{}     // one token per raft snapshot that broke off and is to go on
	counting  chan struct{}     // one token: a range is being counted
	asking    chan struct{}     // one token per replica that asks whether it was removed
	departed  *departed
	leavers   leavers
	retiring  atomic.Bool // TransferAll began: no leadership is taken over any more
	sessions  *sessions   // raft snapshots being received
	reports   sync.Mutex  // guards reported and those of sleeping replicas
	reported  uint64      // reports made so far
	started   leaderlease.Nanos

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.RWMutex
	replicas map[proto.RangeID]*Replica
	// list is all replicas as they are until the next addLocked or dropLocked; nil:
	// nobody asked since the last. It is made anew, never changed.
	list atomic.Pointer[[]*Replica]
	// splitting holds right sides whose creation is under way: nothing else may
	// make a replica of them. What an uninitialised one promised goes on.
	splitting map[proto.RangeID]*leaderlease.Promise
	// incoming holds the spans of raft snapshots from their first byte until they
	// are ingested or refused (P45).
	incoming map[proto.RangeID]proto.Span
	running  bool
	stopped  bool
}

// Open loads the replicas of the engine. Nothing moves before Start.
func Open(opts Options) (*Store, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Store{
		opts: opts, log: opts.Logger, scheduler: newScheduler(), replicas: map[proto.RangeID]*Replica{},
		splitting: map[proto.RangeID]*leaderlease.Promise{}, incoming: map[proto.RangeID]proto.Span{},
		boot: rand.Uint64(), snapshots: make(chan struct{}, opts.Snapshots), aside: make(chan struct{}, snapshotsAside), counting: make(chan struct{}, 1), started: opts.Now(), resolving: newResolving(),
		asking: make(chan struct{}, parallelAsking), departed: newDeparted(), recent: evaluator.NewBudget(opts.RecentBytes),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.closing, s.sessions = newClosing(s), newSessions(s)
	s.sleepers = newSleepers(s, rand.Uint64()|1)
	s.metrics = newMetrics(opts.Registerer, s)
	s.writer = newLogWriter(s)
	var err error
	s.transport, err = transport.New(transport.Options{
		NodeID: opts.NodeID, ClusterID: opts.ClusterID, Peers: opts.Peers, Handler: wire{s}, Logger: opts.Logger,
		SnapshotBytesPerSecond: opts.SnapshotBytesPerSecond, OnSendFailure: s.metrics.sendFailed,
	})
	if err != nil {
		return nil, err
	}
	states, err := opts.Engine.Ranges()
	if err != nil {
		return nil, err
	}
	for _, st := range states {
		id, ok := replicaOn(st.Descriptor, opts.NodeID)
		if !ok {
			if err := s.sweep(st.Descriptor); err != nil {
				return nil, err
			}
			continue
		}
		r, err := s.newReplica(st.ID(), id, !opts.Fresh)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.addLocked(r)
		s.mu.Unlock()
	}
	if !opts.Fresh {
		s.sleepers.startCold()
	}
	return s, nil
}

// Start begins to process. ctx is not kept.
func (s *Store) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	s.dropper = s.opts.Engine.StartDropper(storage.DropperOptions{})
	go s.writer.run()
	s.scheduler.start(s.opts.Workers)
	s.wg.Add(1)
	go s.tick()
	for _, r := range s.all() {
		r.post(r.recount)
		r.post(r.campaignIfSingle)
	}
	return nil
}

// Close stops everything. Requests still waiting end as unavailable or
// ambiguous. The engine stays open.
func (s *Store) Close() {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	s.stopped = true
	running := s.running
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.transport.Close()
	s.sessions.close()
	s.scheduler.close()
	if running {
		s.writer.close()
	}
	for _, r := range s.all() {
		r.stop()
	}
	if s.dropper != nil {
		s.dropper.Close()
	}
}

// Transport returns the streams to other nodes, for the router's calls and the
// gateway's feeds.
func (s *Store) Transport() *transport.Transport { return s.transport }

// PeerServer returns the part of the Peer service that the store serves: Raft,
// RaftSnapshot, Ops and Feed.
func (s *Store) PeerServer() *transport.Server { return s.transport.Server() }

// Call runs an operation on a node: here, or over the wire.
func (s *Store) Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	if node != s.opts.NodeID {
		return s.transport.Call(ctx, node, op)
	}
	reply := s.transport.Local(ctx, op)
	return reply, proto.FromWire(reply.Error)
}

// tick gives every replica a tick per interval of its own. A replica that did
// not get its turn since the last one gets one tick, not a burst (P3).
func (s *Store) tick() {
	defer s.wg.Done()
	root := s.opts.pace(proto.RootRange).tick
	every := int(s.opts.TickInterval / root)
	ticker := time.NewTicker(root)
	defer ticker.Stop()
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ticker.C:
			now := time.Now()
			s.metrics.ticked(now.Sub(last), s.opts.TickInterval, s.closing.leading)
			last = now
			if n%every == 0 {
				s.tickAll(n / every)
			} else if r := s.replica(proto.RootRange); r != nil {
				r.tick()
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Store) tickAll(n int) {
	for _, r := range s.sleepers.ticking() {
		r.tick()
	}
	s.sleepers.tick()
	s.closing.tick()
	if n%trimTicks == 0 {
		s.trim()
	}
}

// trimTicks is how often feeds that nobody reads give up their memory.
const trimTicks = 300

func (s *Store) trim() {
	for _, r := range s.all() {
		r.hub.Trim()
		s.closing.unwatch(r)
	}
}

// fault stops the node's part in raft for good: what the disk refused cannot
// be attested.
func (s *Store) fault(what string, err error) {
	if s.ctx.Err() != nil {
		return // closing: the engine may be gone
	}
	s.log.Error("storage failed", slog.String("doing", what), slog.Any("error", err))
	panic(fmt.Sprintf("rangeraft: %s: %v", what, err))
}

// all returns every replica. Callers share the slice and only read it: it is
// looked through several times a second, however many replicas only sleep.
func (s *Store) all() []*Replica {
	if list := s.list.Load(); list != nil {
		return *list
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	rs := make([]*Replica, 0, len(s.replicas))
	for _, r := range s.replicas {
		rs = append(rs, r)
	}
	s.list.Store(&rs) // whoever adds or drops one waits for the lock
	return rs
}

func (s *Store) replica(id proto.RangeID) *Replica {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.replicas[id]
}

// known returns every descriptor here that overlaps the span, in key order
// (P21).
func (s *Store) known(span proto.Span) []*pontoonpb.Descriptor {
	var ds []*pontoonpb.Descriptor
	for _, r := range s.all() {
		if d := r.desc.Load(); d != nil && (proto.SpanOf(d.Span).Overlaps(span) || proto.SpanOf(d.Span).Contains(span.Start)) {
			ds = append(ds, d)
		}
	}
	slices.SortFunc(ds, func(a, b *pontoonpb.Descriptor) int { return bytes.Compare(a.Span.Start, b.Span.Start) })
	return ds
}

// Statuses returns what this node knows of each of its ranges.
func (s *Store) Statuses() []*pontoonpb.RangeStatus {
	var out []*pontoonpb.RangeStatus
	for _, r := range s.all() {
		if st := r.status(); st != nil {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b *pontoonpb.RangeStatus) int {
		return bytes.Compare(a.Desc.Span.Start, b.Desc.Span.Start)
	})
	return out
}

// Closed returns the lowest closed revision of the local replicas over the
// span, and whether they cover it.
func (s *Store) Closed(span proto.Span) (proto.Revision, bool) {
	at, lowest := span.Start, proto.Revision(-1)
	for _, d := range s.known(span) {
		r := s.replica(proto.RangeID(d.RangeId))
		if r == nil || !proto.SpanOf(d.Span).Contains(at) {
			return 0, false
		}
		c := r.closed()
		if lowest < 0 || c < lowest {
			lowest = c
		}
		at = d.Span.End
	}
	return max(lowest, 0), bytes.Compare(at, span.End) >= 0 && lowest > 0
}

// PushClosed makes the leaders on all nodes close their idle ranges at rev
// (P26). It does not block.
func (s *Store) PushClosed(rev proto.Revision) {
	s.closing.push(rev)
	for _, n := range s.opts.Peers.Nodes() {
		if n != s.opts.NodeID {
			s.transport.Push(n, rev)
		}
	}
}

// NodeSuspect tells the leaders here that a node may be gone, so that txns it
// coordinated are resolved at once (P32) and nobody waits for it to lead; or that
// it is there.
func (s *Store) NodeSuspect(node proto.NodeID, suspect bool) {
	s.leavers.suspected(node, suspect)
	if !suspect {
		return
	}
	for _, r := range s.sleepers.ticking() { // who sleeps has no locks
		r.post(func() {
			if r.ev != nil {
				r.ev.NodeSuspect(node)
			}
		})
	}
}

// replicaOn returns the replica id that a descriptor gives to a node.
func replicaOn(d *pontoonpb.Descriptor, node proto.NodeID) (proto.ReplicaID, bool) {
	for _, rep := range d.GetReplicas() {
		if rep.NodeId == uint64(node) {
			return proto.ReplicaID(rep.ReplicaId), true
		}
	}
	return 0, false
}

// nodeOf returns the node of a replica id, 0 if the descriptor has none.
func nodeOf(d *pontoonpb.Descriptor, id proto.ReplicaID) proto.NodeID {
	for _, rep := range d.GetReplicas() {
		if rep.ReplicaId == uint64(id) {
			return proto.NodeID(rep.NodeId)
		}
	}
	return 0
}

// Leader returns the node that leads a range as its replica here knows it, 0
// if there is no replica or no leader.
func (s *Store) Leader(id proto.RangeID) proto.NodeID {
	if r := s.replica(id); r != nil {
		return proto.NodeID(r.leaderNode.Load())
	}
	return 0
}

// Descriptor returns a range's descriptor as its replica here has applied it,
// nil if there is none.
func (s *Store) Descriptor(id proto.RangeID) *pontoonpb.Descriptor {
	if r := s.replica(id); r != nil {
		return r.desc.Load()
	}
	return nil
}

// Count returns how many replicas are here and how many of them lead and serve.
// It looks at nothing else, so it is cheap however many there are.
func (s *Store) Count() (replicas, leading int64) {
	for _, r := range s.all() {
		if r.desc.Load() == nil {
			continue
		}
		replicas++
		if r.servingTerm.Load() != 0 {
			leading++
		}
	}
	return replicas, leading
}
