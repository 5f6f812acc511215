package node_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/ordering"
	"go.uber.org/zap"

	"github.com/pontoon-kv/pontoon/node/config"
)

// lonely is the network of a node that can be cut off from the other nodes, and not
// from clients.
type lonely struct {
	peerAddr string // of the node itself

	mu    sync.Mutex
	off   bool
	conns []net.Conn
}

// Dial implements config.Network.
func (l *lonely) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if !l.admit(conn) {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Listen implements config.Network.
func (l *lonely) Listen(addr string) (net.Listener, error) {
	in, err := net.Listen("tcp", addr)
	if err != nil || addr != l.peerAddr {
		return in, err
	}
	return &lonelyListener{in, l}, nil
}

type lonelyListener struct {
	net.Listener
	of *lonely
}

// Accept implements net.Listener.
func (l *lonelyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.of.admit(conn) {
			return conn, err
		}
	}
}

// admit keeps a connection, or closes it.
func (l *lonely) admit(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		conn.Close()
		return false
	}
	l.conns = append(l.conns, conn)
	return true
}

func (l *lonely) cut(off bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = off
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// TestOrdering is what etcd's own tests ask of clientv3's ordering: a node that the
// others cannot reach answers serializable reads with what it has, and its revision says
// how old that is, to a get as to a txn. Who insists on nothing older is told that there
// is nothing newer, and is answered once the node is back.
func TestOrdering(t *testing.T) {
	line := &lonely{}
	c := newCluster(t, 3, func(i int, cfg *config.Config) {
		if i == 2 {
			line.peerAddr = strings.TrimPrefix(cfg.ListenPeerURLs[0], "http://")
			cfg.Network = line
		}
	})
	ctx, stale := within(t, 60*time.Second), c.nodes[2]
	c.nodes[0].put("foo", "bar")
	wait(t, "the first value everywhere", func() bool {
		resp, err := stale.kv().Range(ctx, &pb.RangeRequest{Key: []byte("foo"), Serializable: true})
		return err == nil && len(resp.Kvs) == 1
	})
	line.cut(true)
	var now int64
	wait(t, "the others to write", func() bool { // it may have led
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		resp, err := c.nodes[0].kv().Put(attempt, &pb.PutRequest{Key: []byte("foo"), Value: []byte("buzz")})
		now = resp.GetHeader().GetRevision()
		return err == nil
	})
	cli := endpointsOf(t, ctx, c.nodes[0], c.nodes[1])
	violated := errors.New("an older revision")
	var from, to int64
	strict := ordering.NewKV(cli.KV, func(_ clientv3.Op, resp clientv3.OpResponse, prev int64) error {
		from, to = prev, headerOf(resp).Revision
		return violated
	})
	patient := ordering.NewKV(cli.KV, ordering.NewOrderViolationSwitchEndpointClosure(cli))
	for _, kv := range []clientv3.KV{strict, patient} {
		if resp, err := kv.Get(ctx, "foo"); err != nil || string(resp.Kvs[0].Value) != "buzz" || resp.Header.Revision < now {
			t.Fatal(resp, err)
		}
	}
	cli.SetEndpoints(stale.addr)
	for what, ask := range map[string]func() error{
		"get": func() error { return errOf(strict.Get(ctx, "foo", clientv3.WithSerializable())) },
		"txn": func() error {
			return errOf(strict.Txn(ctx).If(clientv3.Compare(clientv3.Value("b"), ">", "a")).
				Then(clientv3.OpGet("foo", clientv3.WithSerializable())).Commit())
		},
	} {
		from, to = 0, 0
		wait(t, what+" from the old node", func() bool { return errors.Is(ask(), violated) }) // once the client has switched
		if from < now || to >= now {
			t.Errorf("%s: from %d to %d, and %d is known", what, from, to, now)
		}
	}
	if _, err := patient.Get(ctx, "foo", clientv3.WithSerializable()); !errors.Is(err, ordering.ErrNoGreaterRev) {
		t.Error("the old node alone:", err)
	}
	line.cut(false)
	if resp, err := patient.Get(ctx, "foo"); err != nil || string(resp.Kvs[0].Value) != "buzz" {
		t.Error("the node is back:", resp, err)
	}
}

// endpointsOf is a client of some nodes.
func endpointsOf(t *testing.T, ctx context.Context, nodes ...*testNode) *clientv3.Client {
	t.Helper()
	var addrs []string
	for _, nd := range nodes {
		addrs = append(addrs, nd.addr)
	}
	cli, err := clientv3.New(clientv3.Config{Endpoints: addrs, Logger: zap.NewNop(), Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	return cli
}

func headerOf(resp clientv3.OpResponse) *pb.ResponseHeader {
	if get := resp.Get(); get != nil {
		return get.Header
	}
	return resp.Txn().Header
}
