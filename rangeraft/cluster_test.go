package rangeraft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// cluster is a number of stores in this process over an in-memory network that
// can be cut, and one sequencer that never fails.
type cluster struct {
	t     testing.TB
	ids   []proto.NodeID
	desc  []*pontoonpb.Descriptor
	seq   *counter
	nodes map[proto.NodeID]*testNode
	tune  func(*Options)

	mu  sync.Mutex
	cut map[[2]proto.NodeID]bool
}

type testNode struct {
	c      *cluster
	id     proto.NodeID
	fs     *storage.FS
	engine *storage.Engine
	store  *Store
	server *grpc.Server
	lis    *bufconn.Listener
	seq    *seqClient
	users  sync.WaitGroup // calls of the test itself: the engine outlives them

	mu    sync.Mutex
	conns map[proto.NodeID]*grpc.ClientConn
	open  map[proto.NodeID][]net.Conn
}

// counter is a sequencer for tests: one number line for all nodes.
type counter struct {
	mu   sync.Mutex
	last proto.Revision
}

func (s *counter) take(n int64) Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := Grant{Read: s.last, Floor: proto.NeverCompacted}
	if n > 0 {
		g.First = s.last + 1
		s.last += proto.Revision(n)
	}
	return g
}

// seqClient is a node's end of the counter.
type seqClient struct {
	s    *counter
	mu   sync.Mutex
	seen proto.Revision
	line chan func()
	over chan struct{}
}

func newSeqClient(s *counter) *seqClient {
	c := &seqClient{s: s, seen: proto.FirstRevision, line: make(chan func(), 4096), over: make(chan struct{})}
	go func() {
		for {
			select {
			case fn := <-c.line:
				fn()
			case <-c.over:
				return
			}
		}
	}()
	return c
}

func (c *seqClient) raise(r proto.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = max(c.seen, r)
}

func (c *seqClient) Ask(n int64, _ proto.Revision, _ uint64, done func(Grant, error)) {
	ask := func() {
		g := c.s.take(n)
		c.raise(max(g.Read, g.First+proto.Revision(n)-1))
		done(g, nil)
	}
	select {
	case c.line <- ask:
	case <-c.over: // the node has stopped
	}
}

func (c *seqClient) Seen() proto.Revision {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}
func (c *seqClient) AuthEpoch() uint64              { return 0 }
func (c *seqClient) Floor() proto.Revision          { return proto.NeverCompacted }
func (c *seqClient) ObservePush(rev proto.Revision) { c.raise(rev) }

// read returns a read revision.
func (c *cluster) read() proto.Revision { return c.seq.take(0).Read }

func newCluster(t testing.TB, n int, tune func(*Options)) *cluster {
	return newClusterOf(t, n, n, tune)
}

// newClusterOf starts n nodes, the first ones with a replica of the range.
func newClusterOf(t testing.TB, replicas, n int, tune func(*Options)) *cluster {
	c := &cluster{t: t, seq: &counter{last: proto.FirstRevision}, nodes: map[proto.NodeID]*testNode{},
		cut: map[[2]proto.NodeID]bool{}, tune: tune}
	var reps []*pontoonpb.Replica
	for i := range n {
		id := proto.NodeID(i + 1)
		c.ids = append(c.ids, id)
		if i < replicas {
			reps = append(reps, &pontoonpb.Replica{NodeId: uint64(id), ReplicaId: uint64(i + 1)})
		}
	}
	c.desc = []*pontoonpb.Descriptor{{RangeId: uint64(proto.UserRange), Span: keys.UserSpan.Wire(), Replicas: reps,
		Generation: 1, NextReplicaId: uint64(replicas + 1)}}
	for _, id := range c.ids {
		c.nodes[id] = &testNode{c: c, id: id, fs: storage.NewCrashableMemFS()}
	}
	for _, id := range c.ids { // they dial one another as soon as they run
		c.nodes[id].start(true)
	}
	t.Cleanup(func() {
		for _, nd := range c.nodes {
			nd.stop()
		}
	})
	return c
}

func (nd *testNode) openEngine() *storage.Engine {
	e, err := storage.Open(storage.Options{Dir: "data", FS: nd.fs, CacheBytes: 4 << 20, MemtableBytes: 1 << 20})
	if err != nil {
		nd.c.t.Fatal(err)
	}
	return e
}

func (nd *testNode) start(fresh bool) {
	t := nd.c.t
	t.Helper()
	e := nd.openEngine()
	if fresh {
		if err := Bootstrap(e, nd.id, nd.c.desc, nil); err != nil {
			t.Fatal(err)
		}
	}
	nd.mu.Lock()
	nd.conns, nd.open = map[proto.NodeID]*grpc.ClientConn{}, map[proto.NodeID][]net.Conn{}
	nd.mu.Unlock()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("RANGERAFT_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", nd.id)
	}
	nd.seq = newSeqClient(nd.c.seq)
	opts := Options{
		NodeID: nd.id, ClusterID: 7, Engine: e, Sequencer: nd.seq, Peers: nd, Resolver: resolver{nd.c},
		Logger: log, Fresh: fresh, TickInterval: 20 * time.Millisecond, Workers: 4,
	}
	if nd.c.tune != nil {
		nd.c.tune(&opts)
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	nd.mu.Lock()
	nd.engine, nd.store = e, s
	nd.mu.Unlock()
	nd.server = grpc.NewServer(grpc.ForceServerCodecV2(transport.Codec()))
	pontoonpb.RegisterPeerServer(nd.server, peerService{Server: s.PeerServer()})
	nd.mu.Lock()
	nd.lis = bufconn.Listen(1 << 20)
	nd.mu.Unlock()
	go nd.server.Serve(nd.lis)
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
}

type peerService struct {
	pontoonpb.UnimplementedPeerServer
	*transport.Server
}

// The methods of both embedded values are of the same depth.
func (p peerService) Raft(s grpc.ClientStreamingServer[pontoonpb.RaftFrame, pontoonpb.RaftAck]) error {
	return p.Server.Raft(s)
}
func (p peerService) RaftSnapshot(s grpc.ClientStreamingServer[pontoonpb.SnapshotChunk, pontoonpb.SnapshotAck]) error {
	return p.Server.RaftSnapshot(s)
}
func (p peerService) Ops(s grpc.BidiStreamingServer[pontoonpb.OpFrame, pontoonpb.OpReplyFrame]) error {
	return p.Server.Ops(s)
}
func (p peerService) Feed(r *pontoonpb.FeedRequest, s grpc.ServerStreamingServer[pontoonpb.FeedMessage]) error {
	return p.Server.Feed(r, s)
}

// stop is a clean end.
func (nd *testNode) stop() {
	nd.mu.Lock()
	store := nd.store
	nd.store = nil
	nd.mu.Unlock()
	if store == nil {
		return
	}
	nd.server.Stop()
	store.Close()
	nd.users.Wait()
	close(nd.seq.over)
	nd.mu.Lock()
	for _, c := range nd.conns {
		c.Close()
	}
	nd.mu.Unlock()
	if err := nd.engine.Close(); err != nil {
		nd.c.t.Error(err)
	}
}

// crash is a power loss: what was not synced may be gone.
func (nd *testNode) crash(seed uint64) {
	clone := nd.fs.CrashClone(int(seed%101), seed)
	nd.stop()
	nd.fs = clone
}

func (nd *testNode) Nodes() []proto.NodeID { return nd.c.ids }

func (nd *testNode) Conn(to proto.NodeID) (*grpc.ClientConn, error) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if c := nd.conns[to]; c != nil {
		return c, nil
	}
	soon := backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 50 * time.Millisecond}
	c, err := grpc.NewClient("passthrough:///node", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon}),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return nd.dial(ctx, to) }))
	if err == nil {
		nd.conns[to] = c
	}
	return c, err
}

func (nd *testNode) dial(ctx context.Context, to proto.NodeID) (net.Conn, error) {
	if nd.c.isCut(nd.id, to) {
		return nil, errors.New("network is cut")
	}
	peer := nd.c.nodes[to]
	peer.mu.Lock()
	lis := peer.lis
	peer.mu.Unlock()
	if lis == nil {
		return nil, errors.New("not listening")
	}
	conn, err := lis.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	nd.mu.Lock()
	nd.open[to] = append(nd.open[to], conn)
	nd.mu.Unlock()
	if nd.c.isCut(nd.id, to) { // meanwhile: isolate may not have seen it
		conn.Close()
		return nil, errors.New("network is cut")
	}
	return conn, nil
}

func (c *cluster) isCut(a, b proto.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut[[2]proto.NodeID{a, b}]
}

// isolate cuts a node off, or joins it again.
func (c *cluster) isolate(id proto.NodeID, cut bool) {
	c.mu.Lock()
	for _, o := range c.ids {
		if o != id {
			c.cut[[2]proto.NodeID{id, o}], c.cut[[2]proto.NodeID{o, id}] = cut, cut
		}
	}
	c.mu.Unlock()
	if !cut {
		return
	}
	for _, nd := range c.nodes {
		nd.mu.Lock()
		for to, conns := range nd.open {
			if nd.id == id || to == id {
				for _, conn := range conns {
					conn.Close()
				}
				delete(nd.open, to)
			}
		}
		nd.mu.Unlock()
	}
}

// resolver routes by the leader that the nodes know.
type resolver struct{ c *cluster }

func (r resolver) Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	for {
		reply, err := r.c.tryAll(ctx, op)
		if err == nil || ctx.Err() != nil || !retryable(err) {
			return reply, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func retryable(err error) bool {
	for _, code := range []pontoonpb.RangeErrorCode{
		pontoonpb.RangeErrorCode_NOT_LEADER, pontoonpb.RangeErrorCode_UNAVAILABLE,
		pontoonpb.RangeErrorCode_NOT_PROPOSED, pontoonpb.RangeErrorCode_RANGE_NOT_FOUND,
	} {
		if proto.HasCode(err, code) {
			return true
		}
	}
	return false
}

// tryAll offers an operation to each live node's replica for its start key.
func (c *cluster) tryAll(ctx context.Context, op *pontoonpb.RangeOp) (reply *pontoonpb.RangeReply, err error) {
	err = proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no node")
	for _, id := range c.ids {
		s := c.nodes[id].enter()
		if s == nil {
			continue
		}
		leave := c.nodes[id].users.Done
		for _, d := range s.known(keys.Point(op.Span.Start)) {
			routed := &pontoonpb.RangeOp{RangeId: d.RangeId, Span: op.Span, Op: op.Op}
			reply = s.Do(ctx, routed)
			if err = proto.FromWire(reply.Error); err == nil || !retryable(err) {
				leave()
				return reply, err
			}
		}
		leave()
	}
	return nil, err
}

// live returns the running store, nil if there is none.
func (nd *testNode) live() *Store {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return nd.store
}

// enter is live for a call that uses the engine; users.Done follows it.
func (nd *testNode) enter() *Store {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if nd.store != nil {
		nd.users.Add(1)
	}
	return nd.store
}

// do runs an operation wherever its leader is, until ctx ends. AMBIGUOUS and
// other answers come back.
func (c *cluster) do(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	for {
		reply, err := resolver{c}.Send(ctx, op)
		// A split between lookup and turn: the descriptors of the refusal are newer.
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_RANGE_MISMATCH) || ctx.Err() != nil {
			return reply, err
		}
	}
}

func ctxFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func putOp(key, value string) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{
		Span: keys.Point(keys.User([]byte(key))).Wire(),
		Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{Request: &pb.RequestOp{
			Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}}},
	}
}

func getOp(key string, rev proto.Revision) *pontoonpb.RangeOp {
	return &pontoonpb.RangeOp{
		Span: keys.Point(keys.User([]byte(key))).Wire(),
		Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{ReadRevision: int64(rev),
			Request: &pb.RangeRequest{Key: []byte(key)}}},
	}
}

// put writes and returns the revision.
func (c *cluster) put(key, value string) int64 {
	c.t.Helper()
	reply, err := c.do(ctxFor(c.t, 20*time.Second), putOp(key, value))
	if err != nil {
		c.t.Fatalf("put %s: %v", key, err)
	}
	return reply.GetWrite().Revision
}

// get is a linearizable read.
func (c *cluster) get(key string) *mvccpb.KeyValue {
	c.t.Helper()
	reply, err := c.do(ctxFor(c.t, 20*time.Second), getOp(key, c.read()))
	if err != nil {
		c.t.Fatalf("get %s: %v", key, err)
	}
	kvs := reply.GetRead().Kvs
	if len(kvs) == 0 {
		return nil
	}
	return kvs[0]
}

func (c *cluster) mustHave(key, value string) {
	c.t.Helper()
	if kv := c.get(key); kv == nil || string(kv.Value) != value {
		c.t.Fatalf("%s is %v, want %q", key, kv, value)
	}
}

// leader waits for a serving leader of a range.
func (c *cluster) leader(id proto.RangeID) *testNode {
	c.t.Helper()
	var found *testNode
	c.wait("leader of range "+fmt.Sprint(id), func() bool {
		for _, nd := range c.nodes {
			if nd.store == nil {
				continue
			}
			if r := nd.store.replica(id); r != nil && r.servingTerm.Load() > 0 {
				found = nd
				return true
			}
		}
		return false
	})
	return found
}

// succeeded waits for a leader of the user range that is another than old.
func (c *cluster) succeeded(old *testNode) {
	c.t.Helper()
	c.wait("another leader", func() bool {
		for _, nd := range c.nodes {
			if nd != old && nd.store.replica(proto.UserRange).servingTerm.Load() > 0 {
				return true
			}
		}
		return false
	})
}

func (c *cluster) wait(what string, cond func() bool) {
	c.t.Helper()
	c.waitOr(what, cond, func() string { return "" })
}

// waitOr is wait that says how things are if it was in vain.
func (c *cluster) waitOr(what string, cond func() bool, state func() string) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline:
			c.t.Fatalf("timed out waiting for: %s\n%s", what, state())
		}
	}
}
