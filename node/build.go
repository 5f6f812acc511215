package node

import (
	"context"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/pontoon-kv/pontoon/leasesvc"
	"github.com/pontoon-kv/pontoon/node/admin"
	"github.com/pontoon-kv/pontoon/node/admission"
	"github.com/pontoon-kv/pontoon/node/answers"
	"github.com/pontoon-kv/pontoon/node/api"
	"github.com/pontoon-kv/pontoon/node/auth"
	"github.com/pontoon-kv/pontoon/node/concurrency"
	"github.com/pontoon-kv/pontoon/node/gateway"
	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/memory"
	"github.com/pontoon-kv/pontoon/node/metrics"
	"github.com/pontoon-kv/pontoon/node/peers"
	"github.com/pontoon-kv/pontoon/node/require"
	"github.com/pontoon-kv/pontoon/node/secure"
	"github.com/pontoon-kv/pontoon/node/serve"
	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/placement/gossip"
	"github.com/pontoon-kv/pontoon/placement/roster"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/router/rangecache"
	"github.com/pontoon-kv/pontoon/watchmux"
)

// probeTimeout bounds one read of a health probe.
const probeTimeout = 2 * time.Second

// openStore builds the store and what it leans on.
func (n *Node) openStore(fresh bool) (err error) {
	n.announcer = newAnnouncer(n)
	n.peers = peers.New(peers.Options{Self: n.members.Self, Dial: peerDial(n.peerCreds), Connect: connector(&n.cfg), OnRefused: n.announcer.refused, Traffic: n.traffic})
	n.onClose(n.peers.Close)
	for _, m := range n.members.Members {
		if m.Removed {
			n.peers.Remove(m.ID)
		} else if err := n.peers.Set(m.ID, m.PeerURLs[0]); err != nil {
			return err
		}
	}
	ranges, err := firstRanges(n.engine, n.members)
	if err != nil {
		return err
	}
	cache := rangecache.New(ranges...)
	calls := &calls{tracer: n.tracer}
	n.root = &rootFinder{node: n, cache: cache}
	lookup := &lateDirectory{root: n.root}
	n.sender = router.NewSender(cache, lookup, calls)
	n.sender.Register(n.registry)
	n.directory = directory.New(n.sender)
	lookup.Directory = n.directory
	n.openMembers()
	n.publisher = directory.NewPublisher(n.directory, directory.PublisherOptions{Logger: n.cfg.Logger})
	n.onClose(n.publisher.Close)
	if err := n.openSequencer(calls); err != nil {
		return err
	}
	n.openAlarms()
	revoke := &revocation{alarms: n.alarms}
	n.lessor = leasesvc.NewLessor(leasesvc.LessorOptions{
		Revoker: revoke, Sender: n.sender, Seen: n.numbers.Seen,
		ElectionTimeout: n.cfg.ElectionTimeout, Logger: n.cfg.Logger, Registerer: n.registry,
		CheckpointInterval: n.checkpointInterval(),
	})
	n.onClose(n.lessor.Close)
	home := leasesvc.NewHome(n.sender)
	n.store, err = rangeraft.Open(rangeraft.Options{
		NodeID: n.members.Self, ClusterID: n.members.ID, Engine: n.engine,
		Sequencer: numbers{n.numbers}, LeaseHome: home, Resolver: n.sender, Lessor: n.lessor,
		Root:      rootEvents{Server: n.sequencer, redirect: n.numbers.Redirect, self: n.members.Self, moved: func() { n.placement.Wake() }},
		Directory: n.publisher, Peers: n.peers, Room: n.gate, Logger: n.cfg.Logger, Registerer: n.registry,
		Fresh: fresh, DisableLeaderLease: !n.cfg.LeaderLease, Now: n.clock(),
		TickInterval: n.cfg.HeartbeatInterval, ElectionTicks: int(n.cfg.ElectionTimeout / n.cfg.HeartbeatInterval),
	})
	if err != nil {
		return err
	}
	calls.store = n.store
	n.onClose(n.store.Close)
	n.buildGateway(cache, calls, home)
	revoke.kv = n.kv
	return nil
}

// openMembers builds what knows the other nodes.
func (n *Node) openMembers() {
	n.saved = &saved{dir: n.cfg.DataDir, file: *n.members}
	n.attendance = &attendance{node: n, since: map[proto.NodeID]time.Time{}}
	records := roster.New(n.sender)
	n.roster = members.NewCache(members.CacheOptions{
		Read: records.Nodes, OnChange: n.membersChanged, OnMiss: n.root.missed, Logger: n.cfg.Logger,
	}, n.members.Records())
	n.onClose(n.roster.Close)
	n.membership = members.New(members.Options{
		Cache: n.roster, Records: records, Ranges: n.directory, Observer: n.attendance, Logger: n.cfg.Logger,
		Limits: members.Limits{Strict: n.cfg.StrictReconfigCheck, MaxLearners: int(n.cfg.MaxLearners)},
	})
	n.custodian = &custodian{node: n, cancel: func() {}}
	n.onClose(n.custodian.close)
	n.onClose(n.announcer.close)
}

// openSequencer builds the sequencer beside the root replica and its client.
func (n *Node) openSequencer(calls *calls) (err error) {
	n.sequencer = sequencer.NewServer(sequencer.Options{
		ClusterID: n.members.ID, Limits: sequencer.LimitRecord{Sender: localRoot{calls}},
		LeaderHint: n.rootLeader, Logger: n.cfg.Logger, Registerer: n.registry,
	})
	n.onClose(n.sequencer.Close)
	n.numbers, err = client.New(client.Options{
		Node: n.members.Self, Boot: n.boot, ClusterID: n.members.ID, Local: n.sequencer, Peers: n.peers,
		Roots: n.root.nodes, Logger: n.cfg.Logger, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.onClose(n.numbers.Close)
	return nil
}

// answersPart is the part of its memory that answers to clients may take, by their
// bytes: about twice that in the moment in which they are put into buffers.
const answersPart = 8

// requestBytes of clients may be under way, and no more than a part of the memory: a
// large value is held several times, in logs, in messages and on its way to disk.
const (
	requestBytes = 128 << 20
	requestsPart = 16
)

// buildGateway builds what clients talk to.
func (n *Node) buildGateway(cache *rangecache.Cache, calls *calls, home *leasesvc.Home) {
	revs := revisions{n.numbers, n.tracer}
	header := n.header()
	n.answers = answers.New(func() int64 { return memory.Share(answersPart) }, n.registry)
	n.kv = router.New(router.Options{
		Node: n.members.Self, Boot: n.boot, Sender: n.sender, Cache: cache, Transport: calls, Answers: n.answers,
		Sequencer: routerRevisions{revs}, Replicas: n.store, Leases: home, Header: headers{header}, Logger: n.cfg.Logger,
		RequestTimeout: n.cfg.RequestTimeout(), MaxRequestBytes: int(n.cfg.MaxRequestBytes), MaxTxnOps: int(n.cfg.MaxTxnOps),
	})
	n.onClose(n.kv.Close)
	n.leases = leasesvc.NewService(leasesvc.ServiceOptions{
		Sender: n.sender, Ranges: n.sender, Revoker: n.kv.Txns(), Sequencer: plainRevisions{revs}, Headers: leaseHeaders{header},
		ElectionTimeout: n.cfg.ElectionTimeout, RequestTimeout: n.cfg.RequestTimeout(), Logger: n.cfg.Logger,
	})
	n.compactor = newCompactor(n.store, n.numbers, n.cfg.Logger)
	n.onClose(n.compactor.close)
	n.refresher = &refresher{sequencer: n.sequencer, numbers: n.numbers, store: n.store, interval: n.cfg.HeartbeatInterval}
	n.onClose(n.refresher.close)
	n.leaders = &leaderWatch{leader: n.rootLeader, interval: n.cfg.HeartbeatInterval}
	n.onClose(n.leaders.close)
	n.near = &replicas{self: n.members.Self, store: n.store, sender: n.sender, cache: cache}
}

// clock is the monotonic clock of leader leases, nil for the machine's.
func (n *Node) clock() func() leaderlease.Nanos {
	if n.cfg.Now == nil {
		return nil
	}
	return func() leaderlease.Nanos { return leaderlease.Nanos(n.cfg.Now()) }
}

func (n *Node) header() *api.Header {
	return &api.Header{ClusterID: n.members.ID, MemberID: n.members.Self, Term: n.numbers.Term}
}

// build finishes the gateway and the servers.
func (n *Node) build(context.Context) (err error) {
	n.guard, err = auth.NewGuard(n.sender, authEpochs{n.numbers}, auth.Options{
		Token: n.cfg.AuthToken, TokenTTL: n.cfg.AuthTokenTTL, BcryptCost: n.cfg.BcryptCost, ClientCertAuth: n.clientTLS.ClientCertAuth(),
		MaxTxnOps: int(n.cfg.MaxTxnOps), MaxRequestBytes: int(n.cfg.MaxRequestBytes), Logger: n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.watch, err = watchmux.New(watchmux.Options{
		ClusterID: n.members.ID, MemberID: uint64(n.members.Self),
		RaftTerm:         func() uint64 { return uint64(n.numbers.Term()) },
		ProgressInterval: n.cfg.WatchProgressNotifyInterval, MaxRequestBytes: int(n.cfg.MaxRequestBytes),
		Logger: n.cfg.Logger, Registerer: n.registry,
	}, watchmux.Ports{
		Ranges: n.near, Feeds: n.near, History: n.near,
		Sequencer: watchRevisions{revisions{n.numbers, n.tracer}}, Closer: n.store, Permissions: n.guard,
	})
	if err != nil {
		return err
	}
	n.gossip, err = gossip.New(gossip.Options{
		Node: n.members.Self, Peers: n.peers, Meta: n.meta, Seeds: n.seeds, OnChange: n.gossipChanged,
		OnPing: n.traffic.RoundTrip, Logger: n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.onClose(n.leaveGossip)
	if err := n.openCompaction(); err != nil {
		return err
	}
	n.openChecker()
	n.needs = require.New(require.Options{Node: needs{n}, ElectionTimeout: n.cfg.ElectionTimeout})
	n.onClose(n.needs.Close)
	if err := n.openPlacement(); err != nil {
		return err
	}
	if err := n.openBackup(); err != nil {
		return err
	}
	if !n.cfg.EnableGateway {
		return nil
	}
	if n.gateway, err = gateway.New(n.cfg.Logger, serve.JSONBytes(n.cfg.MaxRequestBytes)); err != nil {
		return err
	}
	n.onClose(n.gateway.Close)
	return nil
}

// seeds are the nodes to gossip with.
func (n *Node) seeds() (list []proto.NodeID) {
	for _, r := range members.Active(n.roster.Nodes()) {
		list = append(list, proto.NodeID(r.NodeId))
	}
	return list
}

// gossipChanged follows a node that moved, and tells leaders of one that may
// be gone.
func (n *Node) gossipChanged(m gossip.Member) {
	if m.Node == n.members.Self || n.roster.Removed(m.Node) {
		return
	}
	n.attendance.saw(m.Node, m.State)
	n.store.NodeLeaving(m.Node, m.Meta.Leaving)
	n.store.NodeSuspect(m.Node, m.State != gossip.Live)
	if m.State != gossip.Live {
		return
	}
	n.roster.Hint(m.Meta.Roster)
	if len(m.Meta.PeerURLs) > 0 {
		n.reach(m.Node, m.Meta.PeerURLs[0])
	}
}

// serve starts the servers on the open listeners.
func (n *Node) serve() {
	n.serving = newServing(n)
	view := clusterView{Sender: n.sender, node: n, dir: n.directory}
	header := n.header()
	n.rpcs = metrics.NewRPC(n.registry, n.cfg.Metrics == "extensive", answers.Codec())
	entry := admission.New(admission.Options{
		Requests: int(n.cfg.MaxRequestsInFlight), Bytes: min(requestBytes, memory.Share(requestsPart)), Registerer: n.registry,
	})
	client := grpc.NewServer(slices.Concat(
		serve.ClientOptions(n.limits()), n.rpcs.Options(), entry.ServerOptions(), n.answers.Options(), []grpc.ServerOption{
			grpc.Creds(secure.Accepted(serve.Unwrap)), grpc.ChainUnaryInterceptor(n.guard.AdminService),
			grpc.ChainUnaryInterceptor(newSlowRequests(n.cfg.SlowRequest, n.cfg.Logger).unary),
		}, n.needs.Options(), n.tracer.ServerOptions(), answered{n.kv.Observe}.options())...)
	now := func() *pb.ResponseHeader { return header.Header(int64(n.numbers.Seen())) }
	kv, leases := n.gate.KV(n.kv), n.gate.Lease(n.leases)
	guarded := concurrency.Services{
		KV:    metrics.NewKV(n.registry, n.guard.KV(kv, leases)),
		Lease: metrics.NewLease(n.registry, n.guard.Lease(leases)), Watch: n.watch,
	}
	pb.RegisterKVServer(client, guarded.KV)
	pb.RegisterWatchServer(client, guarded.Watch)
	pb.RegisterLeaseServer(client, guarded.Lease)
	pb.RegisterAuthServer(client, n.guard.Service(now))
	pb.RegisterClusterServer(client, n.guard.Cluster(&api.Cluster{Header: header, Members: n.membership}))
	pb.RegisterMaintenanceServer(client, n.guard.Maintenance(maintenance{Service: n.backup, Maintenance: &api.Maintenance{
		Header: header, Sequencer: revisions{n.numbers, n.tracer}, Store: localStore{n.store, n.engine}, Ranges: n.sender,
		RootLeader: n.rootLeader, Alarms: n.alarms, Members: n.membership, Quota: n.quota.Limit,
	}}))
	stopRecipes := guarded.Register(client)
	pontoonpb.RegisterAdminServer(client, &admin.Server{Cluster: view})
	healthpb.RegisterHealthServer(client, n.health)
	reflection.Register(client)
	n.rpcs.Know(client.GetServiceInfo())

	guard := peers.Guard{Self: n.members.Self, Removed: n.roster.Removed, Reason: members.Removed}
	peer := grpc.NewServer(slices.Concat(
		serve.PeerOptions(), guard.Options(), []grpc.ServerOption{grpc.ForceServerCodecV2(transport.Codec())})...)
	pontoonpb.RegisterPeerServer(peer, &peerService{
		store: n.store.PeerServer(), sequencer: n.sequencer, gossip: n.gossip, node: n,
	})
	n.serveBackups(peer)
	n.servers = serve.NewServers(n.cfg.Logger, serve.Patience{})
	n.servers.Peers(peer, n.peerListeners)
	n.serveClients(client)
	n.endStreams = func() { // they would outlast any grace
		stopRecipes()
		n.leases.Close()
		n.watch.Close()
	}
	n.onClose(func() {
		n.endStreams()
		n.servers.Stop()
	})
}
