package node

import (
	"context"
	"errors"
	"net"
	"net/http"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/node/httpapi"
	"github.com/pontoon-kv/pontoon/node/metrics"
	"github.com/pontoon-kv/pontoon/node/peers"
	"github.com/pontoon-kv/pontoon/node/serve"
)

// errNoMetricsCertificate is etcd's own text.
var errNoMetricsCertificate = errors.New("client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url")

// listen opens all ports before anything else is done: another process may
// have them.
func (n *Node) listen() (err error) {
	sockets := serve.Sockets{ReusePort: n.cfg.ReusePort, ReuseAddress: n.cfg.ReuseAddress}
	if n.cfg.Network != nil {
		sockets.Open = n.cfg.Network.Listen
	}
	for _, side := range []struct {
		to   *[]net.Listener
		urls []string
		enc  serve.Encrypter
	}{
		{&n.clientListeners, n.cfg.ListenClientURLs, encrypter(n.clientTLS)},
		{&n.webListeners, n.cfg.ListenClientHTTPURLs, encrypter(n.clientTLS)},
		{&n.metricsListeners, n.cfg.ListenMetricsURLs, encrypter(n.clientTLS)},
		{&n.peerListeners, n.cfg.ListenPeerURLs, encrypter(n.peerTLS)},
	} {
		ls, err := serve.Listen(side.urls, side.enc, sockets)
		if side.to == &n.metricsListeners && errors.Is(err, serve.ErrNoCertificate) {
			return errNoMetricsCertificate
		}
		if err != nil {
			return err
		}
		*side.to = ls
		n.onClose(func() { serve.CloseListeners(ls) })
	}
	n.traffic = peers.NewTraffic(n.registry)
	for i, l := range n.peerListeners {
		n.peerListeners[i] = n.traffic.Listener(l)
	}
	return nil
}

// limits are what clients are held to.
func (n *Node) limits() serve.Limits {
	k := n.cfg.Keepalive
	return serve.Limits{
		RequestBytes: n.cfg.MaxRequestBytes, ConcurrentStreams: n.cfg.MaxConcurrentStreams,
		MinPing: k.MinTime, PingEvery: k.Interval, PingGrace: k.Timeout,
	}
}

// serveClients has the open ports serve: gRPC and HTTP on one port, or each on
// its own. Metrics are served from now on, the rest once clients are let in.
func (n *Node) serveClients(client *grpc.Server) {
	web := httpapi.New(n.webOptions())
	if len(n.webListeners) == 0 {
		n.servers.Both(client, web.Client, n.clientListeners, n.serving.may)
	} else {
		n.servers.GRPC(client, n.clientListeners, n.serving.may)
		n.servers.Web(web.Client, n.webListeners, n.serving.may)
	}
	now := make(chan struct{})
	close(now)
	n.servers.Web(web.Metrics, n.metricsListeners, now)
	if n.gateway != nil {
		n.servers.Pipe(client, n.gateway.Listener())
	}
}

func (n *Node) webOptions() httpapi.Options {
	ranges := localRanges{n.store, n}
	var gateway http.Handler
	if n.gateway != nil {
		gateway = n.gateway
	}
	return httpapi.Options{
		Probe: probe{n}, Ranges: ranges, Counts: metrics.NewHealth(n.registry),
		Gatherer: metrics.NewGatherer(n.registry, n), Registerer: n.registry, Pprof: n.cfg.EnablePprof, Timeout: probeTimeout, Gateway: gateway,
		Access: httpapi.Access{
			Origins: n.cfg.CORS, Hosts: n.cfg.HostWhitelist, TLS: serve.TLSState, Logger: n.cfg.Logger,
			CertUsers: func(ctx context.Context) bool { return n.clientTLS.ClientCertAuth() && !ranges.KeysOpen(ctx) },
		},
	}
}
