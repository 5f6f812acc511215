package admission

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of a Gate.
type Options struct {
	// Requests under way at a time, at least one.
	Requests int
	// Bytes of the requests under way. Default 128 MiB.
	Bytes int64
	// Registerer takes the metrics. Default: none.
	Registerer prometheus.Registerer
}

// Gate counts what is under way. It is safe for concurrent use.
type Gate struct {
	requests int
	bytes    int64
	refused  *prometheus.CounterVec
	full     atomic.Bool // the next request would be refused, whoever sent it

	mu    sync.Mutex
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
	g := &Gate{requests: o.Requests, bytes: o.Bytes, conns: map[net.Addr]*load{}}
	if g.bytes == 0 {
		g.bytes = 128 << 20
	}
	g.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pontoon_requests_refused_total", Help: "Client requests refused because too many were under way.",
	}, []string{"reason"})
	for _, reason := range []string{reasonNode, reasonConnection} {
		g.refused.WithLabelValues(reason)
	}
	if o.Registerer != nil {
		gauge := func(name, help string, of func(load) float64) prometheus.Collector {
			return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
				g.mu.Lock()
				defer g.mu.Unlock()
				return of(g.taken)
			})
		}
		o.Registerer.MustRegister(g.refused,
			gauge("pontoon_requests_in_flight", "Client requests under way.", func(l load) float64 { return float64(l.requests) }),
			gauge("pontoon_requests_in_flight_bytes", "Bytes of client requests under way.", func(l load) float64 { return float64(l.bytes) }))
	}
	return g
}

// Why a request was refused.
const (
	reasonNode       = "node"       // the node has as many as it takes
	reasonConnection = "connection" // its connection has its share of a busy node
)

// enter takes a place for a request of so many bytes; the reason is empty if it
// got one, which leave must give back.
func (g *Gate) enter(from net.Addr, bytes int64) (reason string) {
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
	g.full.Store(g.taken.requests >= g.requests || g.taken.bytes >= g.bytes)
	return ""
}

// leave gives the place of a request back.
func (g *Gate) leave(from net.Addr, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken.add(-1, -bytes)
	share := g.conns[from]
	if share.add(-1, -bytes); share.requests == 0 {
		delete(g.conns, from)
	}
	g.full.Store(g.taken.requests >= g.requests || g.taken.bytes >= g.bytes)
}
