package node

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"

	"github.com/pontoon-kv/pontoon/leasesvc"
	"github.com/pontoon-kv/pontoon/node/alarm"
	"github.com/pontoon-kv/pontoon/node/answers"
	"github.com/pontoon-kv/pontoon/node/auth"
	"github.com/pontoon-kv/pontoon/node/autocompact"
	"github.com/pontoon-kv/pontoon/node/backup"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/gateway"
	"github.com/pontoon-kv/pontoon/node/integrity"
	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/node/metrics"
	"github.com/pontoon-kv/pontoon/node/peers"
	"github.com/pontoon-kv/pontoon/node/require"
	"github.com/pontoon-kv/pontoon/node/secure"
	"github.com/pontoon-kv/pontoon/node/serve"
	"github.com/pontoon-kv/pontoon/node/tracing"
	"github.com/pontoon-kv/pontoon/node/version"
	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/placement/driver"
	"github.com/pontoon-kv/pontoon/placement/gossip"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/watchmux"
)

// Node is one running process.
type Node struct {
	cfg      config.Config
	members  *membership.Cluster // as of the start; who this node is never changes
	boot     uint64              // random, tells lives of the process apart
	registry *prometheus.Registry
	tracer   *tracing.Tracer
	rpcs     *metrics.RPC // of clients
	answers  *answers.Account
	traffic  *peers.Traffic

	engine    *storage.Engine
	peers     *peers.Peers
	store     *rangeraft.Store
	sequencer *sequencer.Server
	numbers   *client.Client
	directory *directory.Directory
	publisher *directory.Publisher
	gossip    *gossip.Gossip
	gossiping sync.Once   // its end
	goodbye   atomic.Bool // told in gossip: this node stops
	sender    *router.Sender
	kv        *router.KV
	watch     *watchmux.Service
	lessor    *leasesvc.Lessor
	leases    *leasesvc.Service
	compactor *compactor
	refresher *refresher
	leaders   *leaderWatch
	near      *replicas
	placement *driver.Driver

	alarms *alarm.Board
	quota  *alarm.Quota
	gate   *alarm.Gate
	auto   *autocompact.Driver
	needs  *require.Requirements

	checker *integrity.Checker

	root       *rootFinder
	roster     *members.Cache // of the node records
	membership *members.Members
	attendance *attendance
	announcer  *announcer
	custodian  *custodian
	saved      *saved
	failed     chan error // see Failed

	clientListeners, peerListeners []net.Listener
	webListeners, metricsListeners []net.Listener
	servers                        *serve.Servers
	serving                        *serving
	health                         *health.Server
	endStreams                     func() // those of clients that never end by themselves
	gateway                        *gateway.Gateway
	guard                          *auth.Guard
	backup                         *backup.Service
	clientTLS, peerTLS             *secure.Side // nil: not encrypted
	peerCreds                      credentials.TransportCredentials

	closers []func() // run in reverse by Stop
}

// Start builds and starts a node. It returns once the listeners are open;
// clients are served as soon as a quorum is found, or a moment later without
// one (GET /readyz tells). cfg must be
// complete. ctx bounds the start only.
func Start(ctx context.Context, cfg config.Config) (*Node, error) {
	n := &Node{cfg: cfg, boot: rand.Uint64() | 1, registry: prometheus.NewRegistry(), failed: make(chan error, 1), health: health.NewServer()}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registerVersion(n.registry)
	for _, step := range []func(context.Context) error{n.open, n.build, n.start} {
		if err := step(ctx); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

// open takes what only one process can have: the ports and the data.
func (n *Node) open(ctx context.Context) (err error) {
	if err := n.secure(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	if n.tracer, err = openTracing(ctx, &n.cfg); err != nil {
		return err
	}
	n.onClose(func() { n.tracer.Close(context.Background()) })
	if err := heldBack(n.cfg.DataDir); err != nil {
		return err
	}
	members, from, err := loadMembers(ctx, &n.cfg)
	if err != nil {
		return err
	}
	n.members = members
	n.engine, err = storage.Open(storage.Options{
		Dir: membership.EngineDir(n.cfg.DataDir), FS: n.cfg.FS, CacheBytes: n.cfg.CacheBytes, Logger: n.cfg.Logger, Registerer: n.registry,
		OnDamage: (&damage{node: n}).found,
	})
	if err != nil {
		return openFailure(n.cfg.DataDir, err)
	}
	n.onClose(func() {
		if err := n.engine.Close(); err != nil {
			n.cfg.Logger.Error("closing the engine", "error", err)
		}
	})
	fresh, err := claim(n.engine, members, from)
	if err != nil {
		return err
	}
	if from != known {
		if err := members.Save(n.cfg.DataDir); err != nil {
			return err
		}
	}
	return openFailure(n.cfg.DataDir, n.openStore(fresh))
}

// start sets everything in motion, the listeners last.
func (n *Node) start(ctx context.Context) error {
	n.sequencer.Start()
	n.numbers.Start()
	n.lessor.Start()
	n.publisher.Start()
	n.watch.Start()
	n.serve()
	if err := n.store.Start(ctx); err != nil {
		return err
	}
	n.gossip.Start()
	n.compactor.start()
	n.refresher.start()
	n.leaders.start()
	n.roster.Start()
	n.announcer.start()
	n.custodian.start()
	n.quota.Start()
	n.auto.Start()
	n.needs.Start()
	n.checker.Start()
	n.placement.Start()
	n.serving.start()
	return nil
}

func (n *Node) onClose(fn func()) { n.closers = append(n.closers, fn) }

// close undoes what was built, newest first.
func (n *Node) close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
	n.closers = nil
}

// Addrs returns the addresses of the client listeners.
func (n *Node) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(n.clientListeners))
	for i, l := range n.clientListeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

func registerVersion(r *prometheus.Registry) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pontoon_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version.Pontoon, "etcd_api": version.Etcd, "commit": version.Commit()},
	})
	g.Set(1)
	r.MustRegister(g)
}
