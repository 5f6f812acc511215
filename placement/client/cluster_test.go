package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const clusterID = 77

// root stands for the raft group of the root range: who leads in which term,
// and what its log says.
type root struct {
	mu     sync.Mutex
	term   proto.Term
	leader proto.NodeID
	limit  proto.Revision
	epochs sequencer.Epochs
}

var errDeposed = errors.New("not the leader")

type node struct {
	t      *testing.T
	id     proto.NodeID
	root   *root
	server *sequencer.Server
	client *client.Client
	peers  *peers
	lose   atomic.Int64 // replies to lose, each with its stream
}

// Persist implements sequencer.Limits through the node's own replica.
func (n *node) Persist(_ context.Context, prev, next proto.Revision) error {
	r := n.root
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leader != n.id || max(r.limit, proto.FirstRevision) != prev {
		return errDeposed
	}
	r.limit = next
	n.server.Applied(next, r.epochs)
	return nil
}

// elect makes a node lead. The one before is not told.
func (c *cluster) elect(id proto.NodeID) {
	r := c.root
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term++
	r.leader = id
	term := r.term
	c.nodes[id].server.Gained(term, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.term != term {
			return errDeposed
		}
		return nil
	}, r.limit, r.epochs)
}

// Sequence serves the peer service; now and then a reply is lost.
type peerServer struct {
	pontoonpb.UnimplementedPeerServer
	n *node
}

func (p peerServer) Sequence(stream pontoonpb.Peer_SequenceServer) error {
	return p.n.server.Sequence(lossy{stream, p.n})
}

type lossy struct {
	pontoonpb.Peer_SequenceServer
	n *node
}

func (l lossy) Send(r *pontoonpb.SequenceReply) error {
	for {
		left := l.n.lose.Load()
		if left == 0 {
			return l.Peer_SequenceServer.Send(r)
		}
		if l.n.lose.CompareAndSwap(left, left-1) {
			return errors.New("reply lost")
		}
	}
}

type peers struct {
	mu    sync.Mutex
	addrs map[proto.NodeID]string
	conns map[proto.NodeID]*grpc.ClientConn
}

func (p *peers) Conn(id proto.NodeID) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[id]; c != nil {
		return c, nil
	}
	c, err := grpc.NewClient(p.addrs[id], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		p.conns[id] = c
	}
	return c, err
}

type cluster struct {
	root  *root
	nodes map[proto.NodeID]*node
	ids   []proto.NodeID
}

func start(t testing.TB, size int, tune func(*client.Options)) *cluster {
	c := &cluster{root: &root{epochs: sequencer.Epochs{Floor: proto.NeverCompacted}}, nodes: map[proto.NodeID]*node{}}
	addrs := map[proto.NodeID]string{}
	for i := range size {
		n := &node{id: proto.NodeID(i + 1), root: c.root}
		n.server = sequencer.NewServer(sequencer.Options{
			ClusterID: clusterID, Limits: n, LeaderHint: func() proto.NodeID { return 0 },
		})
		n.server.Start()
		t.Cleanup(n.server.Close)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer()
		pontoonpb.RegisterPeerServer(g, peerServer{n: n})
		go g.Serve(listener)
		t.Cleanup(g.Stop)
		addrs[n.id] = listener.Addr().String()
		c.nodes[n.id] = n
		c.ids = append(c.ids, n.id)
	}
	for _, n := range c.nodes {
		n.peers = &peers{addrs: addrs, conns: map[proto.NodeID]*grpc.ClientConn{}}
		opts := client.Options{
			Node: n.id, Boot: uint64(1000 + n.id), ClusterID: clusterID, Local: n.server, Peers: n.peers,
			Roots: func() []proto.NodeID { return c.ids },
		}
		if tune != nil {
			tune(&opts)
		}
		cl, err := client.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		cl.Start()
		n.client = cl
		t.Cleanup(cl.Close)
	}
	return c
}

// grant asks and waits.
func (n *node) grant(count int64) (client.Grant, error) {
	type outcome struct {
		g   client.Grant
		err error
	}
	got := make(chan outcome, 1)
	n.client.Ask(count, func(g client.Grant, err error) { got <- outcome{g, err} })
	o := <-got
	return o.g, o.err
}

func mustRead(t *testing.T, n *node) client.Read {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := n.client.ReadRevision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustGrant(t *testing.T, n *node, count int64) client.Grant {
	t.Helper()
	g, err := n.grant(count)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
