package diff

import (
	"math"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Plan says what a generated run contains.
type Plan struct {
	Seed uint64
	// Ops is the number of operations, without the final comparison.
	Ops int
	// Splits is how often the subject is split, half of them at the start.
	Splits int
	// Merges, Moves and Transfers are how often, all during the run, ranges of the
	// subject are merged, a replica is moved, and a leadership is.
	Merges, Moves, Transfers int
	// Expiries is how many leases are let expire; each takes some seconds.
	Expiries int
	// BarrierEvery is the number of operations between two comparisons of all
	// watchers and contents; default 150.
	BarrierEvery int
	// Auth is how many percent of the operations are of auth, lock, election and
	// maintenance. If it is not 0, all operations are issued by several clients, some
	// of them through the JSON gateway; the subject is then split before the run only,
	// and no lease is let expire, since neither is done as a client.
	Auth int
}

// keys is small, so that collisions, moves between leases and recreation are
// frequent, and spread, so that splits cut through every shape of range.
var keys = func() [][]byte {
	ks := [][]byte{
		{0}, {0, 0}, {0, 0xff}, []byte("a"), []byte("a\x00"), []byte("aa"), []byte("b"), []byte("b/"),
		[]byte("c"), []byte("m"), []byte("m\x00"), []byte("m\xff"), []byte("m\xff\xff"), []byte("z"),
		{0xff}, {0xff, 0}, {0xff, 0xff},
	}
	for _, p := range []string{"b/", "k/", "registry/pods/"} {
		for c := byte('0'); c <= '9'; c++ {
			ks = append(ks, append([]byte(p), c))
		}
	}
	return ks
}()

const (
	// expireStride spreads the keys of an expiring lease; it has no common
	// divisor with the number of keys.
	expireStride = 11
	maxStreams   = 4
	finalStream  = maxStreams     // of the final comparison
	baseStream   = maxStreams + 1 // is open all the time
	maxWatchers  = 10             // on one stream, before it is closed
	bigSize      = 100_000
	maxPick      = 1 << 20 // more than there are choices
)

// Generator is the seeded source of operations.
type Generator struct {
	plan    Plan
	rnd     *rand.Rand
	state   State
	made    int
	queue   []Op
	symbols int         // leases whose id the server picked
	streams map[int]int // creates on each open stream
	closing bool        // the final comparison has been queued

	splits, expiries, barriers schedule
	merges, moves, transfers   schedule

	kinds []weightedOp // what an operation is, by weight
}

type weightedOp struct {
	weight int
	make   func() Op
}

// NewGenerator makes the generator of a plan. The same plan yields the same
// operations on systems that behave the same.
func NewGenerator(p Plan) *Generator {
	if p.BarrierEvery == 0 {
		p.BarrierEvery = 150
	}
	g := &Generator{plan: p, rnd: rand.New(rand.NewPCG(p.Seed, 0x706f6e746f6f6e)), streams: map[int]int{}}
	g.kinds = []weightedOp{
		{65, g.reads}, {150, g.put}, {45, g.deleteRange}, {130, g.txnOp}, {2, g.bigTxn}, {2, g.wideTxn},
		{5, g.compact}, {25, g.grant}, {6, g.flash}, {12, g.revoke}, {14, g.keepAlive}, {18, g.ttl}, {6, g.leases},
		{30, g.watchCreate}, {10, g.watchCancel}, {10, g.watchProgress}, {8, g.watchOpen}, {3, g.watchClose}, {1, g.watchEmpty},
		{3, g.raw}, {1, g.oversize},
	}
	g.splits, g.expiries = spread(p.Ops, p.Splits-p.Splits/2), spread(p.Ops, p.Expiries)
	g.merges, g.moves, g.transfers = spread(p.Ops, p.Merges), spread(p.Ops, p.Moves), spread(p.Ops, p.Transfers)
	g.barriers = spread(p.Ops, p.Ops/p.BarrierEvery)
	if p.Auth > 0 {
		g.splits, g.expiries, g.merges, g.moves, g.transfers = schedule{}, schedule{}, schedule{}, schedule{}, schedule{}
	}
	for range p.Splits / 2 {
		g.queue = append(g.queue, g.split())
	}
	g.queue = append(g.queue, Op{Kind: KindOpen, Gateway: g.gateway(), N: baseStream, Msg: &pb.WatchRequest{}},
		g.create(baseStream, &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true}),
		g.create(baseStream, &pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("n"), PrevKv: true, ProgressNotify: true}),
		g.create(baseStream, &pb.WatchCreateRequest{Key: []byte("k/5"), RangeEnd: []byte{0}, PrevKv: true, Fragment: true}))
	for id := range int64(chosenLeases / 2) {
		g.queue = append(g.queue, g.op(KindGrant, &pb.LeaseGrantRequest{ID: id + 1, TTL: longTTL}))
	}
	if p.Auth > 0 {
		g.authSetup()
	}
	return g
}

// Next implements Source.
func (g *Generator) Next(s State) (Op, bool) {
	g.state = s
	if len(g.queue) == 0 {
		if !g.fill() {
			return Op{}, false
		}
	}
	o := g.queue[0]
	g.queue = g.queue[1:]
	if g.plan.Auth > 0 && (g.closing || o.Kind == KindBarrier) {
		o.As = rootName
	}
	return o, true
}

// fill queues the next operations; false at the end.
func (g *Generator) fill() bool {
	if g.made >= g.plan.Ops {
		if g.closing {
			return false
		}
		g.closing = true
		g.finish()
		return true
	}
	g.push(g.pick())
	if g.splits.due(g.made) {
		g.queue = append(g.queue, g.split())
	}
	for _, steer := range []struct {
		kind Kind
		at   *schedule
	}{{KindMerge, &g.merges}, {KindMove, &g.moves}, {KindTransfer, &g.transfers}} {
		if steer.at.due(g.made) {
			g.queue = append(g.queue, Op{Kind: steer.kind, Gateway: g.gateway(), N: g.rnd.IntN(maxPick), Msg: &pb.RangeRequest{}})
		}
	}
	if g.expiries.due(g.made) {
		req := &pb.LeaseGrantRequest{ID: expiringLease + g.rnd.Int64N(5), TTL: 1}
		g.queue = append(g.queue, Op{Kind: KindExpire, Gateway: g.gateway(), N: g.rnd.IntN(12), Msg: req})
	}
	if g.barriers.due(g.made) {
		if g.plan.Auth > 0 {
			g.queue = append(g.queue, g.login(rootName, rootName, rootPass))
		}
		g.queue = append(g.queue, g.op(KindBarrier, &pb.RangeRequest{}))
	}
	return true
}

func (g *Generator) push(o Op) {
	g.made++
	g.queue = append(g.queue, g.dress(o))
}

// schedule spreads something over the run.
type schedule struct {
	interval int // in operations; 0 for never
	left     int
	next     int
}

// spread is n times within ops operations.
func spread(ops, n int) schedule {
	interval := max(1, ops/(n+1))
	return schedule{interval: interval, left: n, next: interval}
}

func (s *schedule) due(made int) bool {
	if s.left <= 0 || made < s.next {
		return false
	}
	s.left--
	s.next += s.interval
	return true
}

func (g *Generator) pick() Op {
	if g.plan.Auth > 0 && g.chance(float64(g.plan.Auth)) {
		if g.chance(65) {
			return g.weighted(g.authOps())
		}
		return g.weighted(g.serviceOps())
	}
	return g.weighted(g.kinds)
}

// weighted makes one of several operations.
func (g *Generator) weighted(ops []weightedOp) Op {
	total := 0
	for _, k := range ops {
		total += k.weight
	}
	n := g.rnd.IntN(total)
	for _, k := range ops {
		if n -= k.weight; n < 0 {
			return k.make()
		}
	}
	return g.put()
}

// finish queues the comparison of everything that is left: the contents at many
// revisions, and the whole history through a watch.
func (g *Generator) finish() {
	const samples = 40
	everything := func() *pb.RangeRequest { return &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}} }
	if g.plan.Auth > 0 {
		g.queue = append(g.queue, g.login(rootName, rootName, rootPass))
	}
	g.queue = append(g.queue, g.op(KindBarrier, &pb.RangeRequest{}))
	span := g.state.Now - max(g.state.Compacted, 1)
	for i := range int64(samples) {
		r := everything()
		r.Revision = Now(-min(span*i/samples, refWindow-1))
		g.queue = append(g.queue, g.op(KindRange, r))
	}
	start := int64(1)
	if g.state.Compacted > 0 {
		start = Compacted(0)
	}
	all := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true, Fragment: true, StartRevision: start}
	g.queue = append(g.queue, Op{Kind: KindOpen, Gateway: g.gateway(), N: finalStream, Msg: &pb.WatchRequest{}},
		g.create(finalStream, all), g.op(KindBarrier, &pb.RangeRequest{}))
	for n := range baseStream + 1 {
		g.queue = append(g.queue, g.progressOn(n))
	}
	g.queue = append(g.queue, g.op(KindBarrier, &pb.RangeRequest{}))
}

// chance is true with a probability of percent / 100.
func (g *Generator) chance(percent float64) bool { return g.rnd.Float64()*100 < percent }

func (g *Generator) gateway() int { return g.rnd.IntN(8) }

// key is a key to use; rarely the empty one, which is refused.
func (g *Generator) key() []byte {
	if g.chance(0.5) {
		return nil
	}
	return g.someKey()
}

func (g *Generator) someKey() []byte { return keys[g.rnd.IntN(len(keys))] }

// rangeEnd is one of every shape: none, everything, from the key on, a prefix, to
// another key (so inverted in half of the cases), empty, the one key.
func (g *Generator) rangeEnd(key []byte) []byte {
	switch n := g.rnd.IntN(20); {
	case n < 7:
		return nil
	case n < 9:
		return []byte{0}
	case n < 12:
		return prefixEnd(key)
	case n < 17:
		return g.someKey()
	case n < 18:
		return key
	}
	return append(append([]byte(nil), key...), 0)
}

func prefixEnd(key []byte) []byte {
	end := append([]byte(nil), key...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

// revision is a revision to read at; mostly the current one.
func (g *Generator) revision(nowPercent float64) int64 {
	if g.chance(nowPercent) {
		return 0
	}
	back := min(g.state.Now-max(g.state.Compacted, 0), refWindow-1)
	switch n := g.rnd.IntN(20); {
	case n < 10:
		return Now(-g.rnd.Int64N(min(back, 60) + 1))
	case n < 12:
		return Now(-g.rnd.Int64N(back + 1))
	case n < 14:
		return Compacted(g.rnd.Int64N(3))
	case n < 16:
		return Compacted(-1)
	case n < 18:
		return Now(1 + g.rnd.Int64N(4))
	case n < 19:
		return -1 - g.rnd.Int64N(3)
	}
	return math.MaxInt64
}

// filterRevision is a bound for the min and max filters.
func (g *Generator) filterRevision() int64 {
	if g.chance(10) {
		return -1
	}
	return Now(3 - g.rnd.Int64N(40))
}

func (g *Generator) value() []byte {
	switch n := g.rnd.IntN(200); {
	case n == 0:
		return bigValue(bigSize, 'a'+byte(g.rnd.IntN(26)))
	case n < 10:
		return nil
	case n < 20:
		return []byte{0, 0xff, byte(g.rnd.IntN(256))}
	}
	return []byte{'v', '0' + byte(g.rnd.IntN(6))}
}

func (g *Generator) op(k Kind, m message) Op {
	return Op{Kind: k, Gateway: g.gateway(), Msg: m}
}
