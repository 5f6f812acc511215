package merge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// simWrite is one change of one revision.
type simWrite struct {
	key  string
	rev  proto.Revision
	sub  int64
	del  bool
	done bool // applied on its range
}

func (w *simWrite) event() *pontoonpb.ChangeEvent {
	e := &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte(w.key), ModRevision: int64(w.rev)}}
	if w.del {
		e.Type = mvccpb.Event_DELETE
	}
	return &pontoonpb.ChangeEvent{Event: e, Sub: w.sub}
}

// simFeed is the feed of a part: everything applied at or above from, in order
// of apply, from where it began.
type simFeed struct {
	backlog []*simWrite
	from    proto.Revision
}

// simWatcher is what a client saw.
type simWatcher struct {
	w        *Watcher
	spec     Spec
	start    proto.Revision
	got      []string
	last     proto.Revision // last revision seen
	progress proto.Revision // nothing at or below it may follow
	created  bool           // the client knows of it
}

// sim is a cluster of ranges, a gateway with the kernel and its clients.
type sim struct {
	t   *testing.T
	rng *rand.Rand
	m   *Mux

	rev    proto.Revision
	writes []*simWrite // all, in order
	bounds []string    // where ranges begin, without the first
	feeds  map[*Part]*simFeed

	groups   []*Group
	watchers []*simWatcher
	byW      map[*Watcher]*simWatcher
	away     []*simWatcher           // to be joined
	joining  map[*simWatcher]simJoin // joined, history being read

	spills, lossy, answered, joined int // what the run went through
}

type simJoin struct {
	needs []Need
	got   []*Change
}

const simKeys = "abcdefghijklmnop"

func newSim(t *testing.T, rng *rand.Rand, limits Limits) *sim {
	return &sim{
		t: t, rng: rng, m: New(limits), rev: 1, feeds: map[*Part]*simFeed{},
		byW: map[*Watcher]*simWatcher{}, joining: map[*simWatcher]simJoin{},
	}
}

func (s *sim) key() string { return string(simKeys[s.rng.IntN(len(simKeys))]) }

// spans returns the ranges.
func (s *sim) spans() []proto.Span {
	var out []proto.Span
	start := keys.UserSpan.Start
	for _, b := range s.bounds {
		out = append(out, proto.Span{Start: start, End: keys.User([]byte(b))})
		start = keys.User([]byte(b))
	}
	return append(out, proto.Span{Start: start, End: keys.UserSpan.End})
}

// closed is what a range may promise: everything below what it has not applied.
func (s *sim) closed(span proto.Span) proto.Revision {
	for _, w := range s.writes {
		if !w.done && span.Contains(keys.User([]byte(w.key))) {
			return w.rev - 1
		}
	}
	return s.rev
}

func (s *sim) write() {
	s.rev++
	n := 1
	if s.rng.IntN(3) == 0 {
		n += s.rng.IntN(4)
	}
	k := s.key()
	for sub := range n {
		if s.rng.IntN(3) > 0 { // else the same key again: a revision may change it several times (P17)
			k = s.key()
		}
		s.writes = append(s.writes, &simWrite{key: k, rev: s.rev, sub: int64(sub), del: s.rng.IntN(4) == 0})
	}
}

// apply applies one waiting revision on one range: effects of one revision in
// one range come together, those of other ranges earlier or later.
func (s *sim) apply(any bool) {
	var waiting []*simWrite
	for _, w := range s.writes {
		if !w.done {
			waiting = append(waiting, w)
		}
	}
	if len(waiting) == 0 {
		return
	}
	pick := waiting[0]
	if any {
		pick = waiting[s.rng.IntN(len(waiting))]
	}
	for _, span := range s.spans() {
		if !span.Contains(keys.User([]byte(pick.key))) {
			continue
		}
		for _, w := range waiting {
			if w.rev == pick.rev && span.Contains(keys.User([]byte(w.key))) {
				w.done = true
				for p, f := range s.feeds {
					if p.Span().Contains(keys.User([]byte(w.key))) && w.rev >= f.from {
						f.backlog = append(f.backlog, w)
					}
				}
			}
		}
	}
}

// open starts the feed of a part from what is applied now.
func (s *sim) open(p *Part) {
	from := s.m.Drop(p)
	from -= proto.Revision(s.rng.IntN(3)) // some of what was already released comes again
	f := &simFeed{from: from}
	for _, w := range s.writes {
		if w.done && w.rev >= from && p.Span().Contains(keys.User([]byte(w.key))) {
			f.backlog = append(f.backlog, w)
		}
	}
	s.rng.Shuffle(len(f.backlog), func(i, j int) { f.backlog[i], f.backlog[j] = f.backlog[j], f.backlog[i] })
	s.feeds[p] = f
}

// deliver moves some events of a feed, and a checkpoint once it is drained.
func (s *sim) deliver(p *Part) {
	f := s.feeds[p]
	n := len(f.backlog)
	if n > 0 && s.rng.IntN(3) > 0 {
		n = 1 + s.rng.IntN(n)
	}
	var cs []*Change
	for _, w := range f.backlog[:n] {
		cs = append(cs, NewChange(w.event()))
	}
	f.backlog = f.backlog[n:]
	s.m.Deliver(p, cs)
	if half := p.Span(); s.rng.IntN(10) == 0 { // says nothing about the rest of the part
		half.End = keys.Next(half.Start)
		s.m.Checkpoint(p, &pontoonpb.Checkpoint{Span: half.Wire(), Closed: int64(s.rev) + 5})
	}
	if len(f.backlog) == 0 {
		closed := s.closed(p.Span())
		if p.Lossy() {
			s.lossy++
			if closed > p.Closed() {
				s.page(p, closed)
			}
			return
		}
		s.m.Checkpoint(p, &pontoonpb.Checkpoint{Span: p.Span().Wire(), Closed: int64(closed)})
	}
}

// page reads a lossy part's history in small pages and opens a new feed.
func (s *sim) page(p *Part, closed proto.Revision) {
	for p.Closed() < closed {
		to := min(closed, p.Closed()+1+proto.Revision(s.rng.IntN(3)))
		s.m.Page(p, s.history(p.Span(), p.Closed()+1, to), to)
	}
	s.open(p)
}

func (s *sim) history(span proto.Span, from, to proto.Revision) []*Change {
	var cs []*Change
	for _, w := range s.writes {
		if w.rev >= from && w.rev <= to && span.Contains(keys.User([]byte(w.key))) {
			if !w.done {
				s.t.Fatalf("history up to %d asked for before it is closed", to)
			}
			cs = append(cs, NewChange(w.event()))
		}
	}
	return cs
}

// split splits a range; its feeds end and their parts are split.
func (s *sim) split() {
	k := s.key()
	if k == "a" || slices.Contains(s.bounds, k) {
		return
	}
	s.bounds = append(s.bounds, k)
	slices.Sort(s.bounds)
	at := keys.User([]byte(k))
	for _, p := range s.m.Parts() {
		if p.Span().Contains(at) {
			delete(s.feeds, p)
			for _, q := range s.m.SplitPart(p, [][]byte{at}) {
				s.open(q)
			}
		}
	}
}

// merge merges two ranges. Their parts go on as they are, or are joined.
func (s *sim) merge() {
	if len(s.bounds) > 0 && s.rng.IntN(2) == 0 {
		i := s.rng.IntN(len(s.bounds))
		s.bounds = slices.Delete(s.bounds, i, i+1)
	}
	ps := s.m.Parts()
	for i := 1; i < len(ps); i++ {
		seam, _ := keys.UserKey(ps[i].Span().Start)
		if slices.Contains(s.bounds, string(seam)) {
			continue
		}
		if j := s.m.JoinParts(ps[i-1], ps[i]); j != nil {
			delete(s.feeds, ps[i-1])
			delete(s.feeds, ps[i])
			s.open(j)
			ps[i] = j
			s.joined++
		}
	}
}

func (s *sim) create() {
	if len(s.groups) < 4 {
		s.groups = append(s.groups, s.m.NewGroup())
	}
	g := s.groups[s.rng.IntN(len(s.groups))]
	spec := Spec{Key: []byte(s.key()), NoPut: s.rng.IntN(8) == 0, NoDelete: s.rng.IntN(8) == 0, Progress: s.rng.IntN(2) == 0}
	switch s.rng.IntN(4) {
	case 0:
	case 1:
		spec.End = []byte{0}
	default:
		if spec.End = []byte(s.key()); string(spec.End) <= string(spec.Key) {
			spec.End = append(slices.Clone(spec.Key), 'z')
		}
	}
	if s.rng.IntN(2) == 0 {
		spec.Start = 1 + proto.Revision(s.rng.Int64N(int64(s.rev)+4))
	}
	now := s.rev
	w, err := s.m.Create(g, spec, now)
	if err != nil {
		s.t.Fatal(err)
	}
	sw := &simWatcher{w: w, spec: spec, start: spec.Start}
	if sw.start == 0 {
		sw.start = now + 1
	}
	s.watchers, s.byW[w] = append(s.watchers, sw), sw
	s.away = append(s.away, sw)
}

// join takes a step with a watcher that is not live.
func (s *sim) join() {
	if len(s.away) == 0 {
		return
	}
	i := s.rng.IntN(len(s.away))
	sw := s.away[i]
	drop := func() { s.away = slices.Delete(s.away, i, i+1) }
	if sw.w.Over() || sw.w.Live() {
		drop()
		return
	}
	if !s.m.Room(sw.w.Group()) {
		return
	}
	for _, span := range s.spans() {
		for _, gap := range s.m.Missing(span) {
			if gap.Overlaps(sw.w.Span()) {
				s.open(s.m.AddPart(gap, min(s.rev, sw.w.Next()+proto.Revision(s.rng.IntN(3))-1)))
			}
		}
	}
	if low, ok := s.m.Resolved(sw.w); ok && low >= sw.w.Next() && s.rng.IntN(3) == 0 && s.truly(sw.w.Span(), low) {
		to := sw.w.Next() + proto.Revision(s.rng.Int64N(int64(low-sw.w.Next())+1))
		s.m.Bulk(sw.w, s.history(sw.w.Span(), sw.w.Next(), to), to, s.rev)
		return
	}
	needs, ok := s.m.Join(sw.w, s.rev)
	if !ok {
		s.t.Fatal("parts are missing")
	}
	drop()
	if len(needs) > 0 {
		s.joining[sw] = simJoin{needs: needs}
	} else if !sw.w.Live() {
		s.away = append(s.away, sw)
	}
}

// truly reports whether every range under span is closed at rev: a new part's
// first closed is only what nobody needs from its feed.
func (s *sim) truly(span proto.Span, rev proto.Revision) bool {
	for _, r := range s.spans() {
		if r.Overlaps(span) && s.closed(r) < rev {
			return false
		}
	}
	return true
}

// finish reads a need, or ends the join.
func (s *sim) finish() {
	for _, sw := range s.watchers {
		j, ok := s.joining[sw]
		if !ok {
			continue
		}
		if len(j.needs) > 0 {
			n := j.needs[0]
			if !s.truly(n.Span, n.To) {
				continue
			}
			j.got = append(j.got, s.history(n.Span, n.From, n.To)...)
			j.needs = j.needs[1:]
			s.joining[sw] = j
			return
		}
		delete(s.joining, sw)
		if s.rng.IntN(5) == 0 {
			s.m.Leave(sw.w)
		} else {
			s.m.Finish(sw.w, j.got, s.rev)
		}
		if !sw.w.Live() && !sw.w.Over() && !slices.Contains(s.away, sw) {
			s.m.Leave(sw.w)
			s.away = append(s.away, sw)
		}
		return
	}
}

func (s *sim) step() {
	switch s.rng.IntN(14) {
	case 0, 1:
		s.write()
	case 2, 3, 4:
		s.apply(s.rng.IntN(2) == 0)
	case 5, 6, 7:
		if ps := s.m.Parts(); len(ps) > 0 {
			s.deliver(ps[s.rng.IntN(len(ps))])
		}
	case 8:
		if ps := s.m.Parts(); len(ps) > 0 && s.rng.IntN(3) == 0 {
			s.open(ps[s.rng.IntN(len(ps))]) // the feed died
		}
		if s.rng.IntN(12) == 0 {
			s.split()
		}
		if s.rng.IntN(12) == 0 {
			s.merge()
		}
	case 9:
		if len(s.watchers) < 12 && s.rng.IntN(3) == 0 {
			s.create()
		}
	case 10:
		s.join()
	case 11:
		s.finish()
	case 12:
		if len(s.groups) > 0 {
			g := s.groups[s.rng.IntN(len(s.groups))]
			switch s.rng.IntN(4) {
			case 0:
				s.m.AskProgress(g, s.rev)
			case 1:
				s.m.TickProgress(g, s.rev)
			}
		}
	case 13:
		if len(s.groups) > 0 {
			s.receive(s.groups[s.rng.IntN(len(s.groups))], 1+s.rng.IntN(4))
		}
	}
	s.spilled()
}

func (s *sim) spilled() {
	for _, w := range s.m.Drain().Spilled {
		if sw := s.byW[w]; !slices.Contains(s.away, sw) {
			s.spills++
			s.away = append(s.away, sw)
		}
	}
}

// receive is the client: it checks order, wholeness and progress (P22, P26).
func (s *sim) receive(g *Group, n int) {
	for _, it := range s.m.Take(g, n, 1<<20) {
		switch it.Kind {
		case Created:
			s.byW[it.Watcher].created = true
		case Progress:
			s.answered++
			for _, sw := range s.watchers {
				if sw.created && sw.w.Group() == g && (it.Watcher == nil || it.Watcher == sw.w) {
					if it.Revision < sw.last || it.Revision < sw.progress {
						s.t.Fatalf("progress %d after %d, %d", it.Revision, sw.last, sw.progress)
					}
					s.complete(sw, it.Revision)
					sw.progress = it.Revision
				}
			}
		case Events:
			s.events(s.byW[it.Watcher], it)
		}
	}
}

func (s *sim) events(sw *simWatcher, it Item) {
	for i, c := range it.Changes {
		if c.Rev <= sw.progress {
			s.t.Fatalf("watcher %d: event %d after progress %d", sw.w.ID, c.Rev, sw.progress)
		}
		if i == 0 && c.Rev <= sw.last {
			s.t.Fatalf("watcher %d: event %d after %d: repeated, split or out of order", sw.w.ID, c.Rev, sw.last)
		}
		sw.got = append(sw.got, fmt.Sprintf("%d.%d%s", c.Rev, c.Sub, c.key()))
		sw.last = c.Rev
	}
	if it.Revision < sw.last {
		s.t.Fatalf("header %d below event %d", it.Revision, sw.last)
	}
	s.complete(sw, sw.last)
}

// complete checks that the watcher has exactly what the model says up to rev.
func (s *sim) complete(sw *simWatcher, rev proto.Revision) {
	if got, want := strings.Join(sw.got, " "), strings.Join(s.expect(sw, rev), " "); got != want {
		s.t.Fatalf("watcher %d [%q,%q) from %d up to %d:\n got %s\nwant %s", sw.w.ID, sw.spec.Key, sw.spec.End, sw.start, rev, got, want)
	}
}

func (s *sim) expect(sw *simWatcher, upTo proto.Revision) []string {
	var out []string
	for _, w := range s.writes {
		if w.rev < sw.start || w.rev > upTo || !sw.w.Span().Contains(keys.User([]byte(w.key))) {
			continue
		}
		if w.del && sw.spec.NoDelete || !w.del && sw.spec.NoPut {
			continue
		}
		out = append(out, fmt.Sprintf("%d.%d%s", w.rev, w.sub, w.key))
	}
	return out
}

// settle lets everything finish and checks that nothing is missing.
func (s *sim) settle() {
	for range 20000 {
		if s.settled() {
			break
		}
		s.apply(false)
		for _, p := range s.m.Parts() {
			s.deliver(p)
		}
		for range len(s.away) + 1 {
			s.join()
		}
		s.finish()
		for _, g := range s.groups {
			s.receive(g, 100)
		}
		s.spilled()
	}
	for _, sw := range s.watchers {
		if !sw.w.Live() {
			s.t.Fatalf("watcher %d is not live: next %d, rev %d", sw.w.ID, sw.w.Next(), s.rev)
		}
		s.complete(sw, s.rev)
	}
	for _, g := range s.groups {
		if len(g.waits) != 0 {
			s.t.Fatalf("progress never answered: %v", g.waits)
		}
	}
}

func (s *sim) settled() bool {
	for _, w := range s.writes {
		if !w.done {
			return false
		}
	}
	for _, p := range s.m.Parts() {
		if p.Closed() < s.rev {
			return false
		}
	}
	for _, sw := range s.watchers {
		if !sw.w.Live() {
			return false
		}
	}
	return !slices.ContainsFunc(s.groups, func(g *Group) bool { return len(g.out) > 0 })
}

// P22, P24, P26, P27: with random splits, feed deaths, checkpoints, txns whose
// effects come late, slow clients and tight limits, every watcher gets every
// event once, in order, whole revisions, and progress never overtakes.
func TestRandomAgainstModel_P22_P24_P26_P27(t *testing.T) {
	var spills, lossy, answered, joined int
	for seed := uint64(0); seed < 50; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 11))
			limits := Limits{HistoricRevisions: 1 + rng.IntN(5)}
			if seed%2 == 0 {
				limits.PartBytes, limits.RecentBytes = 200*(1+rng.IntN(8)), 200*(1+rng.IntN(6))
				limits.WatcherBytes, limits.GroupBytes = 200*(1+rng.IntN(8)), 400*(1+rng.IntN(8))
			}
			s := newSim(t, rng, limits)
			for range 1500 {
				s.step()
			}
			s.settle()
			spills, lossy, answered, joined = spills+s.spills, lossy+s.lossy, answered+s.answered, joined+s.joined
		})
	}
	if spills < 50 || lossy < 50 || answered < 50 || joined < 50 {
		t.Errorf("%d spills, %d lossy parts, %d progress answers, %d joined parts: the runs prove too little",
			spills, lossy, answered, joined)
	}
}
