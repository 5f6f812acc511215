package evaluator

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// sim runs several ranges, each with its own leaderships, over one sequencer,
// everything that takes time reordered at random from one seed. The machines
// check promises while it runs, the oracle checks the answers afterwards.
type sim struct {
	t      testing.TB
	rnd    *rand.Rand
	faults bool

	ranges []*simRange
	events []func() // under way, in no order
	next   proto.Revision
	ids    RequestID
	now    time.Duration

	open      map[RequestID]func(*pontoonpb.RangeReply) // requests not answered
	readsOpen map[RequestID]func(error)
	maxHeader int64 // highest number that an answer has shown
	writes    []*simWrite
	reads     []*simRead
	txns      []*simTxn
	leases    map[int64]*simLease
	granted   int64 // numbers handed out
}

// simRange is one range with its leader, if it has one.
type simRange struct {
	s    *sim
	m    *machine
	term uint64
	ev   *Evaluator // nil: no leader
	seen proto.Revision
	log  []entry // proposed, not applied
}

type entry struct {
	term uint64
	cmd  *pontoonpb.Command
}

func (r *simRange) Seen() proto.Revision { return r.seen }
func (*simRange) AuthEpoch() uint64      { return 0 }
func (*simRange) Floor() proto.Revision  { return proto.NeverCompacted }

func newSim(t testing.TB, seed uint64, faults bool) *sim {
	s := &sim{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), faults: faults, next: 2,
		open: map[RequestID]func(*pontoonpb.RangeReply){}, readsOpen: map[RequestID]func(error){},
		leases: map[int64]*simLease{},
	}
	for i, span := range []proto.Span{keys.LeaseSpan, {Start: keys.UserSpan.Start, End: user("d")}, {Start: user("d"), End: keys.Max}} {
		r := &simRange{s: s, m: newMachine(&pontoonpb.Descriptor{RangeId: uint64(i + 2), Generation: 1, Span: span.Wire()}), seen: 1}
		s.ranges = append(s.ranges, r)
		r.elect()
	}
	return s
}

func (s *sim) chance(percent int) bool { return s.rnd.IntN(100) < percent }

func (s *sim) fault(percent int) bool { return s.faults && s.chance(percent) }

// later makes something happen at some time.
func (s *sim) later(fn func()) { s.events = append(s.events, fn) }

// at returns the range that holds an internal key.
func (s *sim) at(key []byte) *simRange {
	for _, r := range s.ranges {
		if proto.SpanOf(r.m.desc.Span).Contains(key) {
			return r
		}
	}
	panic("no range")
}

// send hands an operation to a range; done gets the answer later.
func (s *sim) send(r *simRange, op *pontoonpb.RangeOp, submitted func(), done func(*pontoonpb.RangeReply)) {
	s.later(func() {
		if submitted != nil {
			submitted()
		}
		if r.ev == nil {
			s.later(func() { done(errorReply(proto.NotLeader(0))) })
			return
		}
		s.ids++
		s.open[s.ids] = done
		r.ev.Submit(s.ids, op)
		if s.chance(50) {
			r.drain()
		}
	})
}

func (r *simRange) drain() {
	for r.ev != nil {
		actions := r.ev.Drain()
		if len(actions) == 0 {
			return
		}
		for _, a := range actions {
			r.act(a)
		}
	}
}

func (r *simRange) act(a Action) {
	s := r.s
	switch a := a.(type) {
	case Ask:
		r.ask(a)
	case Propose:
		if s.fault(2) {
			r.ev.Dropped(a.Command.Batch) // raft refuses it
			return
		}
		r.log = append(r.log, entry{r.term, a.Command})
	case Answer:
		done, ok := s.open[a.ID]
		if !ok {
			s.t.Fatalf("request %d is answered twice, or was cancelled", a.ID)
		}
		delete(s.open, a.ID)
		if a.LockedReads != nil && a.Reply.Error == nil {
			r.readLocked(a)
		}
		s.maxHeader = max(s.maxHeader, a.Reply.GetWrite().GetRevision(), a.Reply.GetCommit().GetRevision())
		s.later(func() { done(a.Reply) })
	case ReadReady:
		done, ok := s.readsOpen[a.ID]
		if !ok {
			s.t.Fatalf("read %d is ready twice", a.ID)
		}
		delete(s.readsOpen, a.ID)
		done(a.Err)
	case NeedRegistration:
		r.register(a)
	case TxnBlocked:
		s.finish(r, a)
	}
}

func (r *simRange) readLocked(a Answer) {
	for _, q := range a.LockedReads.Reads {
		reply := &pontoonpb.ReadReply{Kvs: r.m.live(keys.UserRangeSpan(q.Key, q.RangeEnd), 0)}
		a.Reply.GetLock().Reads = append(a.Reply.GetLock().Reads, reply)
	}
	for _, what := range a.LockedReads.Locks {
		if what.Mode == pontoonpb.LockMode_LOCK_LEASE {
			for _, kv := range r.m.live(proto.SpanOf(what.Span), 0) {
				if kv.Lease == what.Lease {
					a.Reply.GetLock().LeaseKeys = append(a.Reply.GetLock().LeaseKeys, kv)
				}
			}
		}
	}
}

// ask: some time later the sequencer takes the numbers, and later still the
// reply arrives, or is lost.
func (r *simRange) ask(a Ask) {
	s, ev := r.s, r.ev
	s.later(func() {
		g := Grant{Read: s.next - 1}
		if a.Count > 0 {
			g.First = s.next
			s.next += proto.Revision(a.Count)
			s.granted += a.Count
		}
		var err error
		switch {
		case s.fault(3):
			err = errors.New("no sequencer")
		case s.fault(3):
			g = Grant{EpochsChanged: true}
		case s.fault(3):
			g = Grant{First: 1} // from a deposed sequencer
		}
		s.later(func() {
			if err == nil && g.Read > 1 {
				r.seen = max(r.seen, g.Read, g.First+proto.Revision(a.Count)-1)
			}
			if r.ev == ev {
				ev.Granted(a.Token, g, err)
				r.drain()
			}
		})
	})
}

// applyOne applies the oldest entry.
func (r *simRange) applyOne() {
	e := r.log[0]
	r.log = r.log[1:]
	before := r.m.desc
	data, err := e.cmd.MarshalVT()
	cmd := &pontoonpb.Command{}
	if err == nil {
		err = cmd.UnmarshalVT(data)
	}
	if err != nil {
		r.s.t.Fatal(err)
	}
	done := r.m.apply(e.term, cmd)
	var desc *pontoonpb.Descriptor
	if r.m.desc != before {
		desc = r.m.desc
		r.split(before)
	}
	if r.ev != nil && r.term == e.term {
		if done {
			r.ev.Applied(cmd.Batch, desc)
		} else {
			r.ev.Dropped(cmd.Batch)
		}
		if r.s.chance(70) {
			r.drain()
		}
	}
	if len(r.m.broken) > 0 {
		r.s.t.Fatalf("range %d: %q", r.m.desc.RangeId, r.m.broken)
	}
}

// split makes a range of what lies to the right of the new descriptor.
func (r *simRange) split(before *pontoonpb.Descriptor) {
	d := &pontoonpb.Descriptor{
		RangeId: uint64(len(r.s.ranges) + 2), Generation: 2,
		Span: &pontoonpb.Span{Start: r.m.desc.Span.End, End: before.Span.End},
	}
	right := &simRange{s: r.s, m: newMachine(d), seen: r.seen}
	right.m.closed = r.m.closed
	span := proto.SpanOf(d.Span)
	for k, v := range r.m.versions {
		if span.Contains([]byte(k)) {
			right.m.versions[k] = v
			delete(r.m.versions, k)
		}
	}
	for name, l := range r.m.locals {
		if span.Contains(l.key) {
			right.m.locals[name] = l
			delete(r.m.locals, name)
		}
	}
	r.s.ranges = append(r.s.ranges, right)
	r.s.later(right.elect)
}

// depose ends a leadership; some of what it proposed never makes it.
func (r *simRange) depose() {
	if r.ev == nil {
		return
	}
	r.ev.Fail(proto.NotLeader(0))
	r.drain()
	old := r.ev
	r.ev = nil
	r.log = r.log[:r.s.rnd.IntN(len(r.log)+1)]
	if len(old.inflight) > 0 && r.s.chance(30) {
		// A confused node proposes an old command in the next term (P12).
		cmd := &pontoonpb.Command{
			Term: r.term, Generation: r.m.desc.Generation, Batch: 1,
			Effects: []*pontoonpb.Effect{{Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: user("never"), Rev: int64(r.s.next + 9)}},
		}
		r.log = append(r.log, entry{r.term + 1, cmd})
	}
	r.s.later(r.elect)
}

// elect begins a leadership once all older entries are applied (P1).
func (r *simRange) elect() {
	for len(r.log) > 0 {
		r.applyOne()
	}
	r.term++
	pipelineAt := 1
	if r.s.chance(50) {
		pipelineAt = 3
	}
	ev, err := New(Options{
		PipelineAt: pipelineAt,
		Term:       proto.Term(r.term), Descriptor: r.m.desc, Closed: r.m.closed, State: r.m, Numbers: r, Now: r.s.now,
		SpanDeleteKeys: 3, BlockedAfter: time.Second, MaxBatchRequests: 5, Recent: NewBudget(2000),
	})
	if err != nil {
		r.s.t.Fatal(err)
	}
	r.ev = ev
	if r.s.chance(30) {
		r.seen = 1 // on another node, which saw nothing yet
	}
}

// step lets one thing happen.
func (s *sim) step() {
	r := s.ranges[s.rnd.IntN(len(s.ranges))]
	switch s.rnd.IntN(10) {
	case 0, 1, 2:
		if len(r.log) > 0 {
			r.applyOne()
		}
	case 3:
		r.drain()
	case 4:
		s.misc(r)
	default:
		if n := len(s.events); n > 0 {
			i := s.rnd.IntN(n)
			fn := s.events[i]
			s.events[i] = s.events[n-1]
			s.events = s.events[:n-1]
			fn()
		}
	}
}

// misc is what happens beside requests.
func (s *sim) misc(r *simRange) {
	switch {
	case r.ev == nil:
	case s.chance(30):
		if c, ok := r.ev.IdleClosed(); ok {
			if c < r.m.closed {
				s.t.Fatalf("closed went back from %d to %d", r.m.closed, c)
			}
			r.m.closed = c
		}
	case s.chance(30):
		r.seen = max(r.seen, s.next-1) // a push
	case s.chance(20):
		s.now += 300 * time.Millisecond
		r.ev.Tick(s.now)
	case s.fault(5):
		r.depose()
	case s.fault(20):
		for id := range s.open {
			if r.ev.Cancel(id) {
				done := s.open[id]
				delete(s.open, id)
				s.later(func() {
					done(errorReply(proto.Errorf(pontoonpb.RangeErrorCode_NOT_PROPOSED, "cancelled")))
				})
			}
			break
		}
	}
}

// settle runs until nothing is under way and no lock is held.
func (s *sim) settle() {
	for range 200000 {
		busy := len(s.events) > 0 || len(s.open) > 0 || len(s.readsOpen) > 0
		for _, r := range s.ranges {
			busy = busy || len(r.log) > 0 || len(r.m.locks()) > 0
			if r.ev != nil && len(s.events) == 0 {
				r.drain()
				s.now += 100 * time.Millisecond
				r.ev.Tick(s.now)
				r.drain()
			}
		}
		if !busy {
			return
		}
		s.step()
	}
	s.t.Fatalf("%d requests, %d reads, %d events are stuck", len(s.open), len(s.readsOpen), len(s.events))
}

// run makes random work and lets it end.
func (s *sim) run(work int) {
	for i := range work {
		s.newWork(i)
		for range s.rnd.IntN(8) {
			s.step()
		}
	}
	s.faults = false
	s.settle()
	s.check()
}

func (s *sim) sortedRanges() []*simRange {
	return slices.SortedFunc(slices.Values(s.ranges), func(a, b *simRange) int {
		return slices.Compare(a.m.desc.Span.Start, b.m.desc.Span.Start)
	})
}

// Without faults every number granted is used, and no revision is missing.
func TestRandomWithoutFaults(t *testing.T) {
	for seed := range uint64(seeds(t)) {
		s := newSim(t, seed, false)
		s.run(120)
		s.checkDense()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// With lost leaderships, dropped proposals, refused and lost grants.
func TestRandomWithFaults(t *testing.T) {
	for seed := range uint64(seeds(t)) {
		newSim(t, seed+10000, true).run(120)
		if t.Failed() {
			t.Fatalf("seed %d", seed+10000)
		}
	}
}

func seeds(t *testing.T) int {
	if testing.Short() {
		return 20
	}
	return 150
}
