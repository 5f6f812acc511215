// Package peers keeps one gRPC connection to every other node.
//
//	rangeraft, placement --Conn(node)--> Peers --lazily--> grpc.ClientConn
//	                                       ^--Set, Remove-- members
//
// Every call names the node it comes from and the one that is meant; the server
// side (Guard) turns away those that were removed from the cluster, and what is
// meant for a node that is not there any more.
//
// Connections are made on first use and re-made by grpc when they break; an
// address that changed replaces its connection.
package peers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"

	"github.com/pontoon-kv/pontoon/proto"
)

// ErrClosed: the connections of this node were closed.
var ErrClosed = errors.New("peers: closed")

// Options of the connections.
type Options struct {
	Self proto.NodeID
	// Dial are added to every connection (credentials, codec, tracing).
	Dial []grpc.DialOption
	// Connect opens a connection to HOST:PORT. Nil: over TCP.
	Connect func(ctx context.Context, addr string) (net.Conn, error)
	// OnRefused is called when a peer refuses this node for having been removed
	// from the cluster. It must not block. Nil: nobody listens.
	OnRefused func()
	// Traffic counts what passes over the connections. Nil: nothing is counted.
	Traffic *Traffic
}

// Peers is safe for concurrent use.
type Peers struct {
	opts Options

	mu     sync.Mutex
	peers  map[proto.NodeID]*peer
	order  []proto.NodeID
	gone   map[proto.NodeID]bool // removed for good
	closed bool
}

type peer struct {
	target string
	conn   *grpc.ClientConn // nil until used
}

// New returns an empty set.
func New(o Options) *Peers {
	if o.Connect == nil {
		var d net.Dialer
		o.Connect = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	return &Peers{opts: o, peers: map[proto.NodeID]*peer{}, gone: map[proto.NodeID]bool{}}
}

// Set records where a node listens for peers: "http://host:port".
func (p *Peers) Set(id proto.NodeID, peerURL string) error {
	u, err := url.Parse(peerURL)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[id] {
		return nil
	}
	old, known := p.peers[id]
	if known && old.target == u.Host {
		return nil
	}
	if known && old.conn != nil {
		old.conn.Close()
	}
	if !known {
		p.order = append(p.order, id)
	}
	p.peers[id] = &peer{target: u.Host}
	return nil
}

// Nodes returns every node that has an address, this one included if set.
func (p *Peers) Nodes() []proto.NodeID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]proto.NodeID(nil), p.order...)
}

// Conn returns the connection to a node. It does not wait for it to be up.
func (p *Peers) Conn(id proto.NodeID) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	peer, ok := p.peers[id]
	if !ok {
		return nil, fmt.Errorf("peers: no address of node %x", uint64(id))
	}
	if peer.conn != nil {
		return peer.conn, nil
	}
	conn, err := p.dial(peer.target, id)
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	peer.conn = conn
	return conn, nil
}

// Dial opens a connection to a peer address, HOST:PORT, whoever listens there.
// It does not wait for it to be up.
func (p *Peers) Dial(target string) (*grpc.ClientConn, error) { return p.dial(target, 0) }

func (p *Peers) dial(target string, to proto.NodeID) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+target, slices.Concat([]grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A restarted node must be found again well within an election.
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 300 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithInitialWindowSize(1 << 20),
		grpc.WithInitialConnWindowSize(4 << 20),
		grpc.WithReadBufferSize(128 << 10),
		grpc.WithWriteBufferSize(128 << 10),
	}, identify(p.opts, to), p.connect(to), p.opts.Dial)...)
}

// connect opens the connections to a node, and counts what passes.
func (p *Peers) connect(to proto.NodeID) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		raw, err := p.opts.Connect(ctx, addr)
		if err != nil {
			return nil, err
		}
		return p.opts.Traffic.dialed(raw, to), nil
	})}
}

// Up reports whether there is a connection to a node that works.
func (p *Peers) Up(id proto.NodeID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer := p.peers[id]
	return peer != nil && peer.conn != nil && peer.conn.GetState() == connectivity.Ready
}

// Retry connects to a node at once, because it is known to be there, and waits
// for the connection until ctx ends.
func (p *Peers) Retry(ctx context.Context, id proto.NodeID) {
	conn, err := p.Conn(id)
	if err != nil {
		return
	}
	// Only a connection that failed has a backoff; grpc walks its list of
	// addresses for it without a lock, which a first attempt may be writing.
	if conn.GetState() == connectivity.TransientFailure {
		conn.ResetConnectBackoff()
	}
	conn.Connect()
	for s := conn.GetState(); s != connectivity.Ready && s != connectivity.Shutdown; s = conn.GetState() {
		if !conn.WaitForStateChange(ctx, s) {
			return
		}
		conn.Connect()
	}
}

// Remove forgets a node for good: nothing goes there any more, and no address
// of it is taken in again.
func (p *Peers) Remove(id proto.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone[id] = true
	p.opts.Traffic.forget(id)
	if old, known := p.peers[id]; known {
		if old.conn != nil {
			old.conn.Close()
		}
		delete(p.peers, id)
		p.order = slices.DeleteFunc(p.order, func(n proto.NodeID) bool { return n == id })
	}
}

// Close closes every connection, and none to a node is opened after it: who is
// late is not around to close it.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, peer := range p.peers {
		if peer.conn != nil {
			peer.conn.Close()
			peer.conn = nil
		}
	}
}
