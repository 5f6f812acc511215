package peers

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/pontoon-kv/pontoon/proto"
)

// userTimeout is how long the kernel tries to deliver what was sent. gRPC sets
// it to the timeout of its keepalive, but only on a connection of its own.
const userTimeout = 5 * time.Second

// Traffic counts bytes on the wire between this node and each other node, TLS
// and framing included, whoever opened the connection, and how long probes
// take. Labels name nodes, nothing smaller.
type Traffic struct {
	sent, received, disconnected *prometheus.CounterVec
	roundTrip                    *prometheus.HistogramVec

	mu    sync.Mutex
	nodes map[proto.NodeID]*counters
}

// counters of one node, looked up once per connection.
type counters struct {
	sent, received, disconnected prometheus.Counter
	roundTrip                    prometheus.Observer
}

// NewTraffic returns counters at zero.
func NewTraffic(reg prometheus.Registerer) *Traffic {
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pontoon_peer_" + name, Help: help}, []string{"node"})
	}
	t := &Traffic{
		sent:         vec("sent_bytes_total", "Bytes sent to another node."),
		received:     vec("received_bytes_total", "Bytes received from another node."),
		disconnected: vec("disconnects_total", "Connections to another node that ended."),
		roundTrip: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pontoon_peer_round_trip_seconds", Help: "Time from a probe of another node to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, []string{"node"}),
		nodes: map[proto.NodeID]*counters{},
	}
	if reg != nil {
		reg.MustRegister(t.sent, t.received, t.disconnected, t.roundTrip)
	}
	return t
}

// RoundTrip notes the time of one probe.
func (t *Traffic) RoundTrip(id proto.NodeID, d time.Duration) {
	t.of(id).roundTrip.Observe(d.Seconds())
}

func nodeLabel(id proto.NodeID) string { return strconv.FormatUint(uint64(id), 16) }

func (t *Traffic) of(id proto.NodeID) *counters {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.nodes[id]
	if c == nil {
		l := nodeLabel(id)
		c = &counters{
			t.sent.WithLabelValues(l), t.received.WithLabelValues(l), t.disconnected.WithLabelValues(l), t.roundTrip.WithLabelValues(l),
		}
		t.nodes[id] = c
	}
	return c
}

// forget drops the series of a node that was removed.
func (t *Traffic) forget(id proto.NodeID) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := nodeLabel(id)
	delete(t.nodes, id)
	t.sent.DeleteLabelValues(l)
	t.received.DeleteLabelValues(l)
	t.disconnected.DeleteLabelValues(l)
	t.roundTrip.DeleteLabelValues(l)
}

// dialed counts what passes over a connection to a node.
func (t *Traffic) dialed(raw net.Conn, to proto.NodeID) net.Conn {
	setUserTimeout(raw)
	if t == nil || to == 0 {
		return raw
	}
	c := &conn{Conn: raw, traffic: t, dialed: true}
	c.belongs(to)
	return c
}

// Listener counts what passes over accepted connections, from the moment that
// the other side says who it is.
func (t *Traffic) Listener(l net.Listener) net.Listener { return &listener{l, t} }

type listener struct {
	net.Listener
	traffic *Traffic
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	setUserTimeout(raw)
	return &conn{Conn: raw, traffic: l.traffic}, nil
}

// conn counts for a node once it is known whose it is.
type conn struct {
	net.Conn
	traffic *Traffic
	dialed  bool
	closing sync.Once
	node    atomic.Pointer[counters]
}

// belongs says whose connection it is. What passed before was a handshake.
func (c *conn) belongs(id proto.NodeID) {
	if c.node.Load() == nil {
		c.node.Store(c.traffic.of(id))
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if of := c.node.Load(); of != nil && n > 0 {
		of.received.Add(float64(n))
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if of := c.node.Load(); of != nil && n > 0 {
		of.sent.Add(float64(n))
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closing.Do(func() {
		if of := c.node.Load(); of != nil && c.dialed {
			of.disconnected.Inc()
		}
	})
	return c.Conn.Close()
}

// RemoteAddr leads from a call's peer back to the connection.
func (c *conn) RemoteAddr() net.Addr { return remote{c.Conn.RemoteAddr(), c} }

type remote struct {
	net.Addr
	conn *conn
}

// attribute says whose connection a call came over.
func attribute(ctx context.Context, from proto.NodeID) {
	if p, ok := grpcpeer.FromContext(ctx); ok && from != 0 {
		if r, ok := p.Addr.(remote); ok {
			r.conn.belongs(from)
		}
	}
}
