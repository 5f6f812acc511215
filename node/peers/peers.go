// Package peers keeps one gRPC connection to every other node.
//
//	rangeraft, placement --Conn(node)--> Peers --lazily--> grpc.ClientConn
//
// Connections are made on first use and re-made by grpc when they break; an
// address that changed replaces its connection.
package peers

import (
	"fmt"
	"math"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/pontoon-kv/pontoon/proto"
)

// Options of the connections.
type Options struct {
	Self proto.NodeID
	// Dial are added to every connection (codec, tracing).
	Dial []grpc.DialOption
}

// Peers is safe for concurrent use.
type Peers struct {
	opts Options

	mu    sync.Mutex
	peers map[proto.NodeID]*peer
	order []proto.NodeID
}

type peer struct {
	target string
	conn   *grpc.ClientConn // nil until used
}

// New returns an empty set.
func New(o Options) *Peers {
	return &Peers{opts: o, peers: map[proto.NodeID]*peer{}}
}

// Set records where a node listens for peers: "http://host:port".
func (p *Peers) Set(id proto.NodeID, peerURL string) error {
	u, err := url.Parse(peerURL)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
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
	peer, ok := p.peers[id]
	if !ok {
		return nil, fmt.Errorf("peers: no address of node %x", uint64(id))
	}
	if peer.conn != nil {
		return peer.conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+peer.target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
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
	}, p.opts.Dial...)...)
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	peer.conn = conn
	return conn, nil
}

// Close closes every connection.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, peer := range p.peers {
		if peer.conn != nil {
			peer.conn.Close()
			peer.conn = nil
		}
	}
}
