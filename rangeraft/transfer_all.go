package rangeraft

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
)

// parallelTransfers bounds the leaderships that TransferAll hands over at a time.
const parallelTransfers = 64

// TransferAll hands every leadership of this node to the follower that is
// furthest, for a clean stop. The root range goes last, so that the others can
// still ask for numbers; where it has no other replica the next number is left
// in its log (P6). It returns when nothing is led here and nothing is about to
// be, but for what nobody else can take, or when ctx ends. Ranges do not wait
// for one another. From its begin on no leadership that is handed to this node is
// taken over.
func (s *Store) TransferAll(ctx context.Context) {
	s.retiring.Store(true)
	x := &exodus{s: s, given: map[proto.RangeID]map[proto.NodeID]bool{}}
	for x.round(ctx) {
	}
	if root := s.replica(proto.RootRange); root != nil {
		if o := root.office(nil); o.alone && !o.retired {
			root.retire(ctx)
		}
	}
}

// exodus is one TransferAll. It takes rounds, since the right side of a split
// comes to be led while the left one goes, and what was handed over may return.
type exodus struct {
	s *Store

	mu    sync.Mutex
	given map[proto.RangeID]map[proto.NodeID]bool
}

// round hands over what is led now and reports whether there was anything.
func (x *exodus) round(ctx context.Context) bool {
	var root *Replica
	var others sync.WaitGroup
	var led atomic.Bool
	slots := make(chan struct{}, parallelTransfers)
	for _, r := range x.s.all() {
		if r.id == proto.RootRange {
			root = r
			continue
		}
		if o := r.office(nil); !o.led && !o.coming {
			continue
		}
		slots <- struct{}{}
		others.Go(func() {
			defer func() { <-slots }()
			if x.transferAway(ctx, r) {
				led.Store(true)
			}
		})
	}
	others.Wait()
	if root != nil && x.transferAway(ctx, root) {
		led.Store(true)
	}
	return led.Load() && ctx.Err() == nil && x.s.ctx.Err() == nil
}

// transferAway hands one range over and reports whether it did. A follower that
// does not take over in time is tried again as long as it is heard of; one that
// took over and gave the range back is not: it stops, too.
func (x *exodus) transferAway(ctx context.Context, r *Replica) (gone bool) {
	poll := time.NewTicker(max(time.Millisecond, x.s.opts.TickInterval/20))
	defer poll.Stop()
	refused := map[proto.NodeID]bool{}
	for {
		o := r.office(func(n proto.NodeID) int { return x.rank(r.id, n, refused) })
		switch {
		case o.spent, o.alone && o.serving, !o.led && !o.coming:
			return gone
		case o.serving && o.next != 0:
			reply := r.doTransfer(ctx, o.next)
			if reply.Error == nil {
				x.gave(r.id, o.next)
				gone = true
				continue
			}
			refused[o.next] = true
			r.log.Warn("leadership not transferred", slog.String("error", reply.Error.Message))
		case o.led && !o.alone:
			r.post(r.wakeUp) // whoever sleeps hears of nobody
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return gone
		case <-x.s.ctx.Done():
			return gone
		}
	}
}

func (x *exodus) gave(id proto.RangeID, to proto.NodeID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.given[id] == nil {
		x.given[id] = map[proto.NodeID]bool{}
	}
	x.given[id][to] = true
}

// Ranks of those who may take a range.
const (
	returned = iota // it had the range and gave it back
	tried
	untried
)

func (x *exodus) rank(id proto.RangeID, n proto.NodeID, refused map[proto.NodeID]bool) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.given[id][n]:
		return returned
	case refused[n]:
		return tried
	}
	return untried
}

// office is how a replica stands towards the lead of its range.
type office struct {
	led     bool
	serving bool
	coming  bool         // it asks for votes: it may lead soon, or gives up soon
	alone   bool         // it leads, and nobody else can
	retired bool         // it leads, and its last number is in the log (P6)
	spent   bool         // it leads, and everybody else gave the range back or stops
	next    proto.NodeID // who may take over; 0: nobody who is heard of
}

// office looks once. rank orders those who may take over before their logs do;
// nil: nobody asks who.
func (r *Replica) office(rank func(proto.NodeID) int) office {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return office{}
	}
	if !r.leading {
		return office{coming: r.retry > 0 || r.raftRole == raft.StateCandidate}
	}
	o := office{led: true, serving: r.ev != nil, alone: r.single(), retired: r.retired}
	if o.alone || rank == nil {
		return o
	}
	o.spent = true
	best, match := 0, uint64(0)
	for id, pr := range r.rn.Status().Progress {
		n := nodeOf(r.desc.Load(), proto.ReplicaID(id))
		if id == uint64(r.replicaID) || pr.IsLearner || n == 0 || rank(n) == returned || r.s.leavers.stops(n) {
			continue
		}
		o.spent = false
		if !pr.RecentActive || pr.State == tracker.StateSnapshot || r.s.unfit(n) != "" {
			continue // not heard of yet, or no more
		}
		if k := rank(n); k > best || k == best && pr.Match >= match {
			o.next, best, match = n, k, pr.Match
		}
	}
	return o
}

// retire leaves the exact next number in the log where no other replica takes
// over (P6). The sequencer's term ends with it, so that nothing is granted while
// the rest of the node stops; a second TransferAll finds it done.
func (r *Replica) retire(ctx context.Context) {
	if r.id != proto.RootRange || r.s.opts.Root == nil {
		return
	}
	if err := r.s.opts.Root.HandOver(ctx); err != nil {
		r.log.Warn("next number not handed over", slog.Any("error", err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leading {
		r.retired = true
		r.s.opts.Root.Lost(r.leaderTerm)
	}
}
