// Package serve owns the listeners: gRPC and HTTP on the client URLs (one
// port, told apart by the first bytes, or each on ports of its own), HTTP on the
// metrics URLs, gRPC on the peer URLs.
//
//	client URL --cmux--+--HTTP/2--> grpc.Server
//	                   +--HTTP/1--> http.Server
//	peer URL -----------------------> grpc.Server
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/soheilhy/cmux"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// messageOverhead is what a gRPC message may carry beyond the largest
// request, bytes; etcd's grpcOverheadBytes.
const messageOverhead = 512 * 1024

// JSONBytes bounds a request in JSON: bytes are in base64 there, and the rest is
// longer, too. What fits and is too large nevertheless gets etcd's own refusal.
func JSONBytes(requestBytes uint) int64 { return 2 * (int64(requestBytes) + messageOverhead) }

// Patience is how long clients may take to say what they must. Zero fields are
// at their defaults.
type Patience struct {
	// Greeting bounds the TLS handshake and the first bytes of a connection, by
	// which the server for it is chosen, and then gRPC's own handshake. Default
	// 2 min, as in gRPC.
	Greeting time.Duration
	// Headers bounds those of an HTTP request. Default 5 min, as in etcd.
	Headers time.Duration
	// Idle bounds the time between two HTTP requests. Default 10 min.
	Idle time.Duration
}

func (p Patience) withDefaults() Patience {
	for _, f := range []struct {
		have *time.Duration
		d    time.Duration
	}{{&p.Greeting, 2 * time.Minute}, {&p.Headers, 5 * time.Minute}, {&p.Idle, 10 * time.Minute}} {
		if *f.have == 0 {
			*f.have = f.d
		}
	}
	return p
}

// streamWorkers is how many goroutines stay around for requests: a new one
// grows its stack several times on the way to the engine, which cost a sixth of
// the time of a get. Requests beyond that get a goroutine of their own.
const streamWorkers = 512

// Windows of flow control, in bytes. Left to itself gRPC measures the way to the
// other side, with a ping and its answer for nearly every small request.
const (
	streamWindow = 1 << 20
	connWindow   = 4 << 20
)

// Limits are what clients are held to.
type Limits struct {
	RequestBytes         uint
	ConcurrentStreams    uint32        // of one connection
	MinPing              time.Duration // between two pings of a client; 0: gRPC's own limit
	PingEvery, PingGrace time.Duration // by the server; if one is 0, gRPC's own
}

// ClientOptions are the options of a gRPC server that faces etcd clients.
// Keepalive enforcement is etcd's: by default a client may ping every 5 s, not
// gRPC's 5 min, which would cut off every Kubernetes API server.
func ClientOptions(l Limits) []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(l.RequestBytes) + messageOverhead),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(l.ConcurrentStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
	}
	if l.MinPing > 0 {
		opts = append(opts, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.MinPing}))
	}
	if l.PingEvery > 0 && l.PingGrace > 0 {
		opts = append(opts, grpc.KeepaliveParams(keepalive.ServerParameters{Time: l.PingEvery, Timeout: l.PingGrace}))
	}
	return opts
}

// PeerOptions are the options of the gRPC server between nodes.
func PeerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(math.MaxUint32),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(128 << 10),
		grpc.WriteBufferSize(128 << 10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}

// Unwrap returns the connection below one that a server here accepted, nil at
// the bottom.
func Unwrap(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *cmux.MuxConn:
		return c.Conn
	case *trackedConn:
		return c.Conn
	case *eitherConn:
		if inner := c.inner(); inner != nil {
			return inner
		}
	case interface{ TLS() *tls.Conn }:
		return c.TLS()
	}
	return nil
}

// Servers runs servers over listeners until Stop.
type Servers struct {
	log   *slog.Logger
	wait  Patience
	peers []*grpc.Server
	grpc  []*grpc.Server
	http  []*http.Server
	mux   []cmux.CMux
	open  []*tracked
	wg    sync.WaitGroup
}

// NewServers returns an empty set.
func NewServers(log *slog.Logger, wait Patience) *Servers {
	return &Servers{log: log, wait: wait.withDefaults()}
}

// Peers serves gRPC alone on the listeners, for other nodes: their streams
// never end by themselves, so Stop gives them no grace.
func (s *Servers) Peers(srv *grpc.Server, ls []net.Listener) {
	s.peers = append(s.peers, srv)
	for _, l := range ls {
		s.run(func() error { return srv.Serve(l) })
	}
}

// Both serves gRPC and HTTP on the listeners, from the moment that may is
// closed; whoever connects before waits.
func (s *Servers) Both(srv *grpc.Server, handler http.Handler, ls []net.Listener, may <-chan struct{}) {
	s.grpc = append(s.grpc, srv)
	for _, l := range ls {
		m := cmux.New(s.track(l, may))
		m.SetReadTimeout(s.wait.Greeting)
		h2 := m.Match(cmux.HTTP2())
		h1 := m.Match(cmux.HTTP1Fast())
		s.mux = append(s.mux, m)
		s.run(func() error { return srv.Serve(h2) })
		s.web(handler, h1)
		s.run(m.Serve)
	}
}

// GRPC serves gRPC alone, otherwise like Both.
func (s *Servers) GRPC(srv *grpc.Server, ls []net.Listener, may <-chan struct{}) {
	s.grpc = append(s.grpc, srv)
	for _, l := range ls {
		open := s.track(l, may)
		s.run(func() error { return srv.Serve(open) })
	}
}

// Web serves HTTP alone, otherwise like Both.
func (s *Servers) Web(handler http.Handler, ls []net.Listener, may <-chan struct{}) {
	for _, l := range ls {
		s.web(handler, s.track(l, may))
	}
}

func (s *Servers) track(l net.Listener, may <-chan struct{}) net.Listener {
	open := track(l, may)
	s.open = append(s.open, open)
	return open
}

func (s *Servers) web(handler http.Handler, l net.Listener) {
	web := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.wait.Headers,
		IdleTimeout:       s.wait.Idle,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withTLS,
	}
	s.http = append(s.http, web)
	s.run(func() error { return web.Serve(l) })
}

// Pipe serves a server of Both on one more listener, in memory.
func (s *Servers) Pipe(srv *grpc.Server, l net.Listener) {
	s.run(func() error { return srv.Serve(l) })
}

func (s *Servers) run(serve func() error) {
	s.wg.Go(func() {
		err := serve()
		if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) ||
			errors.Is(err, grpc.ErrServerStopped) || errors.Is(err, cmux.ErrListenerClosed) || errors.Is(err, cmux.ErrServerClosed) {
			return
		}
		s.log.Error("a server stopped", "error", err)
	})
}

// StopClients ends the servers that face clients: requests in flight get until
// ctx ends to finish. The servers between nodes go on.
func (s *Servers) StopClients(ctx context.Context) {
	var wg sync.WaitGroup
	for _, g := range s.grpc {
		wg.Go(func() {
			stop := context.AfterFunc(ctx, g.Stop)
			defer stop()
			g.GracefulStop()
		})
	}
	for _, w := range s.http {
		wg.Go(func() {
			if w.Shutdown(ctx) != nil {
				w.Close()
			}
		})
	}
	wg.Wait()
}

// StopPeers has other nodes open no streams any more, lets those that ended say
// so, and ends the rest when ctx does.
func (s *Servers) StopPeers(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range s.peers {
		wg.Go(func() {
			stop := context.AfterFunc(ctx, p.Stop)
			defer stop()
			p.GracefulStop()
		})
	}
	wg.Wait()
}

// Stop ends all servers at once.
func (s *Servers) Stop() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	s.StopClients(over)
	for _, p := range s.peers {
		p.Stop()
	}
	for _, m := range s.mux {
		m.Close()
	}
	for _, o := range s.open {
		o.closeConns()
	}
	s.wg.Wait()
}
