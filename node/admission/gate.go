package admission

import (
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of a Gate.
type Options struct {
	// Requests under way at a time, at least one.
	Requests int
	// Bytes of the requests under way, at least one.
	Bytes int64
	// Registerer takes the metrics. Default: none.
	Registerer prometheus.Registerer
}

// Gate counts what is under way. It is safe for concurrent use.
type Gate struct {
	requests int
	bytes    int64
	refused  map[string]prometheus.Counter // by reason
	full     atomic.Bool                   // the next request would be refused, whoever sent it
	underWay atomic.Int64                  // taken.requests
	rate     atomic.Uint64                 // pace.perSecond, its bits

	mu    sync.Mutex
	pace  pace
	taken load
	conns map[net.Addr]*load // with something under way
}

// load is what somebody has under way.
type load struct {
	requests int
	bytes    int64
}

func (l *load) add(requests int, bytes int64) {
	l.requests += requests
	l.bytes += bytes
}

// within reports whether the load is at most 1/part of a gate.
func (l *load) within(g *Gate, part int) bool {
	return l.requests <= g.requests/part && l.bytes <= g.bytes/int64(part)
}

// New returns an open gate.
func New(o Options) *Gate {
	g := &Gate{requests: o.Requests, bytes: o.Bytes, pace: newPace(time.Now()), conns: map[net.Addr]*load{}}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pontoon_requests_refused_total", Help: "Client requests refused because too many were under way.",
	}, []string{"reason"})
	g.refused = map[string]prometheus.Counter{}
	for _, reason := range []string{reasonNode, reasonConnection, reasonLate} {
		g.refused[reason] = refused.WithLabelValues(reason)
	}
	if o.Registerer != nil {
		gauge := func(name, help string, of func(load) float64) prometheus.Collector {
			return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
				g.mu.Lock()
				defer g.mu.Unlock()
				return of(g.taken)
			})
		}
		o.Registerer.MustRegister(refused,
			gauge("pontoon_requests_in_flight", "Client requests under way.", func(l load) float64 { return float64(l.requests) }),
			gauge("pontoon_requests_in_flight_bytes", "Bytes of client requests under way.", func(l load) float64 { return float64(l.bytes) }))
	}
	return g
}

// Why a request was refused.
const (
	reasonNode       = "node"       // the node has as many as it takes
	reasonConnection = "connection" // its connection has its share of a busy node
	reasonLate       = "late"       // its client would be gone before its turn comes
)

// late reports whether a request whose client waits so long would be answered too
// late, since too many stand before it.
func (g *Gate) late(wait time.Duration) bool {
	rate := math.Float64frombits(g.rate.Load())
	return rate > 0 && int(g.underWay.Load()) >= fits(rate, wait)
}

// enter takes a place for a request of so many bytes whose client waits so long; the
// reason is empty if it got one, which leave must give back.
func (g *Gate) enter(from net.Addr, bytes int64, wait time.Duration) (reason string) {
	if g.late(wait) {
		return reasonLate
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	after := g.taken
	after.add(1, bytes)
	if !after.within(g, 1) && g.taken.requests > 0 {
		return reasonNode
	}
	share := g.conns[from]
	if share == nil {
		share = &load{}
	}
	mine := *share
	mine.add(1, bytes)
	if !after.within(g, 2) && !mine.within(g, 4) && share.requests > 0 {
		return reasonConnection
	}
	*share, g.taken = mine, after
	g.conns[from] = share
	g.publish()
	return ""
}

// leave gives the place of a request back. What was answered tells the pace of the
// node and took that long; what failed, 0, does not: a range without a quorum says
// nothing of the others.
func (g *Gate) leave(from net.Addr, bytes int64, took time.Duration) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if took > 0 {
		g.pace.answered(now, took)
	}
	g.taken.add(-1, -bytes)
	share := g.conns[from]
	if share.add(-1, -bytes); share.requests == 0 {
		delete(g.conns, from)
	}
	g.publish()
}

// publish tells those who do not take the lock.
func (g *Gate) publish() {
	g.full.Store(g.taken.requests >= g.requests || g.taken.bytes >= g.bytes)
	g.underWay.Store(int64(g.taken.requests))
	g.rate.Store(math.Float64bits(g.pace.perSecond()))
}
