package gossip

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

type peers struct {
	mu    sync.Mutex
	addrs map[proto.NodeID]string
	conns map[proto.NodeID]*grpc.ClientConn
}

var errNoAddress = errors.New("no address")

func (p *peers) Conn(id proto.NodeID) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[id]; c != nil {
		return c, nil
	}
	address, ok := p.addrs[id]
	if !ok {
		return nil, errNoAddress
	}
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		p.conns[id] = c
	}
	return c, err
}

// server serves Peer.Gossip with what a test puts behind it.
type server struct {
	pontoonpb.UnimplementedPeerServer
	serve func(pontoonpb.Peer_GossipServer) error
}

func (s server) Gossip(stream pontoonpb.Peer_GossipServer) error { return s.serve(stream) }

func listen(t *testing.T, s server) (string, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pontoonpb.RegisterPeerServer(g, s)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return l.Addr().String(), g.Stop
}

type member struct {
	*Gossip
	kill    func()
	mu      sync.Mutex
	leaders int64
}

func (m *member) lead(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leaders = n
}

func startNodes(t *testing.T, count int) []*member {
	t.Helper()
	addrs := map[proto.NodeID]string{}
	var nodes []*member
	var ids []proto.NodeID
	for i := range count {
		m := &member{}
		id := proto.NodeID(uint64(i+1) << 56) // ids use all their bits
		address, stop := listen(t, server{serve: func(s pontoonpb.Peer_GossipServer) error { return m.Gossip.Gossip(s) }})
		addrs[id] = address
		ids = append(ids, id)
		m.kill = stop
		nodes = append(nodes, m)
	}
	for i, m := range nodes {
		g, err := New(Options{
			Node: ids[i], Peers: &peers{addrs: addrs, conns: map[proto.NodeID]*grpc.ClientConn{}},
			Meta: func() Meta {
				m.mu.Lock()
				defer m.mu.Unlock()
				return Meta{Node: ids[i], Boot: 42, Name: "node", Version: "1", PeerURLs: []string{"http://a"}, Leaders: m.leaders}
			},
			Seeds:         func() []proto.NodeID { return ids },
			ProbeInterval: 100 * time.Millisecond, ProbeTimeout: 50 * time.Millisecond,
			UpdateInterval: 100 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		m.Gossip = g
	}
	for _, m := range nodes {
		m.Start()
	}
	return nodes
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for: %s", what)
		}
		<-tick.C
	}
}

func states(m *member) (live, suspect, dead int) {
	for _, o := range m.Members() {
		switch o.State {
		case Live:
			live++
		case Suspect:
			suspect++
		case Dead:
			dead++
		}
	}
	return live, suspect, dead
}

// Nodes find each other, learn each other's meta and its changes, and notice
// who leaves and who dies.
func TestMembership(t *testing.T) {
	nodes := startNodes(t, 3)
	for _, m := range nodes {
		await(t, "all live", func() bool { live, _, _ := states(m); return live == 3 })
	}
	nodes[1].lead(7)
	id := nodes[1].opts.Node
	await(t, "new meta", func() bool {
		m, ok := nodes[2].Member(id)
		return ok && m.Meta.Leaders == 7 && m.Meta.Boot == 42 && m.Meta.Name == "node" && m.Meta.Node == id
	})
	// Dies without a word: first suspect, then dead.
	killed := nodes[1]
	close(killed.stop)
	killed.wg.Wait()
	killed.kill()
	if err := killed.list.Shutdown(); err != nil {
		t.Fatal(err)
	}
	await(t, "suspect or dead", func() bool { m, _ := nodes[0].Member(id); return m.State != Live })
	await(t, "dead", func() bool { _, _, dead := states(nodes[0]); return dead == 1 })
	// Leaves: dead at once.
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "both gone", func() bool { _, _, dead := states(nodes[0]); return dead == 2 })
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
}

// Connections carry bytes both ways in order, end with EOF, keep deadlines,
// and break with their link.
func TestConnections(t *testing.T) {
	addrs := map[proto.NodeID]string{}
	var sides [2]*transport
	var stops [2]func()
	for i := range sides {
		addrs[proto.NodeID(i+1)], stops[i] = listen(t, server{serve: func(s pontoonpb.Peer_GossipServer) error { return sides[i].serve(s) }})
	}
	for i := range sides {
		sides[i] = newTransport(proto.NodeID(i+1), &peers{addrs: addrs, conns: map[proto.NodeID]*grpc.ClientConn{}})
		defer sides[i].Shutdown()
	}
	dial := func() (net.Conn, net.Conn) {
		a, err := sides[0].DialTimeout(addressOf(2), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := <-sides[1].StreamCh()
		if got, err := io.ReadAll(io.LimitReader(b, 5)); string(got) != "hello" {
			t.Fatalf("got %q, %v", got, err)
		}
		return a, b
	}
	a, b := dial()
	big := bytes.Repeat([]byte("0123456789"), 30_000)
	go func() {
		b.Write(big)
		b.Close()
	}()
	if got, err := io.ReadAll(a); err != nil || !bytes.Equal(got, big) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	a.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read of a closed connection: %v", err)
	}
	a, _ = dial()
	a.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	a.SetReadDeadline(time.Time{})
	broken := make(chan error)
	go func() {
		_, err := a.Read(make([]byte, 1))
		broken <- err
	}()
	stops[1]()
	if err := <-broken; err == nil {
		t.Fatal("a connection outlived its link")
	}
	if !sides[0].suspects(2) {
		t.Fatal("a node whose link broke is not suspect")
	}
	if _, err := sides[0].DialTimeout(addressOf(99), time.Second); err == nil {
		t.Fatal("dialled a node without address")
	}
}

func TestMeta(t *testing.T) {
	m := Meta{
		Node: 5, Boot: 7, RootLeader: 9, Name: "n", Version: "v", PeerURLs: []string{"http://a:1", "http://b:2"},
		ClientURLs: []string{"http://c:3"}, Replicas: 3, Leaders: 2, SizeBytes: 1 << 40,
	}
	b, err := m.encode(512)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeMeta(b)
	if err != nil || got.RootLeader != 9 || got.Boot != 7 || got.Name != "n" || len(got.PeerURLs) != 2 || got.SizeBytes != 1<<40 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for range 50 {
		m.PeerURLs = append(m.PeerURLs, "http://some.long.host.name.example:2380")
	}
	if b, err = m.encode(512); err != nil || len(b) > 512 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got, err = decodeMeta(b); err != nil || got.Name != "n" || got.PeerURLs != nil || got.ClientURLs == nil {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func FuzzMeta(f *testing.F) {
	b, _ := Meta{Node: 5, Name: "n"}.encode(512)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if b, err := m.encode(512); err == nil {
			if _, err := decodeMeta(b); err != nil {
				t.Fatalf("%+v does not survive: %v", m, err)
			}
		}
	})
}

func TestAddress(t *testing.T) {
	for _, id := range []proto.NodeID{1, 0x8e9e05c52164694d, 1<<64 - 1} {
		if got, err := nodeOf(addressOf(id)); err != nil || got != id {
			t.Fatalf("%x came back as %x, %v", uint64(id), uint64(got), err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:1", "[::1]:1", "host:1"} {
		if _, err := nodeOf(bad); err == nil {
			t.Fatalf("%q is an address", bad)
		}
	}
}
