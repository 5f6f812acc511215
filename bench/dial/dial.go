// Package dial opens official etcd clients for load and fault runs.
package dial

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Options of one client.
type Options struct {
	Endpoints []string // host:port or URL
	// Timeout bounds the first connection; default 5 s.
	Timeout time.Duration
	// Connect opens a connection to host:port. Nil: over TCP.
	Connect func(ctx context.Context, addr string) (net.Conn, error)
}

// Open returns an official client. It reconnects quickly, since the runs that
// use it restart nodes, and logs nothing: callers see every error themselves.
func Open(o Options) (*clientv3.Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, fmt.Errorf("dial: no endpoints")
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	retry := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.3, Jitter: 0.2, MaxDelay: 500 * time.Millisecond}
	dialing := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: time.Second})}
	if o.Connect != nil {
		dialing = append(dialing, grpc.WithContextDialer(o.Connect))
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints:             o.Endpoints,
		DialTimeout:           o.Timeout,
		DialKeepAliveTime:     10 * time.Second,
		DialKeepAliveTimeout:  3 * time.Second,
		BackoffWaitBetween:    50 * time.Millisecond,
		BackoffJitterFraction: 0.2,
		MaxUnaryRetries:       1,
		Logger:                zap.NewNop(),
		DialOptions:           dialing,
	})
	if err != nil {
		return nil, fmt.Errorf("dial %v: %w", o.Endpoints, err)
	}
	return c, nil
}

// Pool is n clients, each bound to one endpoint, endpoints taken in turn: load
// spreads over gateways and connections the same way for every system.
type Pool struct {
	endpoints []string
	clients   []*clientv3.Client
}

// OpenPool opens n clients.
func OpenPool(endpoints []string, n int) (*Pool, error) {
	p := &Pool{endpoints: endpoints}
	for i := range n {
		c, err := Open(Options{Endpoints: endpoints[i%len(endpoints) : i%len(endpoints)+1]})
		if err != nil {
			p.Close()
			return nil, err
		}
		p.clients = append(p.clients, c)
	}
	return p, nil
}

// Client returns the i-th client, round robin.
func (p *Pool) Client(i int) *clientv3.Client { return p.clients[i%len(p.clients)] }

// Len returns how many clients there are.
func (p *Pool) Len() int { return len(p.clients) }

// Endpoints returns what the pool was opened with.
func (p *Pool) Endpoints() []string { return p.endpoints }

// Close closes all clients.
func (p *Pool) Close() {
	for _, c := range p.clients {
		_ = c.Close()
	}
}

// TooMany tells whether a full server refused the request. It compares texts, as
// clients do: etcd lets the error out with another code than it declares.
func TooMany(err error) bool {
	return strings.Contains(err.Error(), rpctypes.ErrorDesc(rpctypes.ErrGRPCRequestTooManyRequests))
}
