package transport

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Transport is one node's end of all streams.
type Transport struct {
	opts   Options
	ctx    context.Context // ends with Close; streams live in it
	cancel context.CancelFunc
	wg     sync.WaitGroup

	streams atomic.Uint64 // incoming raft streams
	pool    pool
	pace    pacer
	pages   *semaphore.Weighted

	draining chan struct{}  // closed by Drain
	callees  sync.WaitGroup // incoming Ops streams

	mu      sync.Mutex
	closed  bool
	drained bool
	peers   map[proto.NodeID]*peer
}

// peer is the outgoing side to one node.
type peer struct {
	raft *raftSender
	ops  *caller
}

// New returns a transport without streams; they open on first use.
func New(opts Options) (*Transport, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Transport{opts: opts, ctx: ctx, cancel: cancel, peers: map[proto.NodeID]*peer{}, draining: make(chan struct{}),
		pages: semaphore.NewWeighted(int64(opts.Pages))}
	t.SetSnapshotRate(int64(opts.SnapshotBytesPerSecond))
	return t, nil
}

// Close ends every stream and waits for the goroutines behind them.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
	t.pool.close()
}

// Send queues a raft message to a node; false: dropped.
func (t *Transport) Send(to proto.NodeID, m *pontoonpb.RaftMessage) bool {
	p := t.peer(to)
	return p != nil && p.raft.send(m)
}

// Broken reports whether raft messages to a node go nowhere just now: its stream
// broke or could not be opened, and was not opened since.
func (t *Transport) Broken(to proto.NodeID) bool {
	t.mu.Lock()
	p := t.peers[to]
	t.mu.Unlock()
	return p != nil && p.raft.broken.Load()
}

// Kick makes the stream to a node ask for closed updates soon.
func (t *Transport) Kick(to proto.NodeID) {
	if p := t.peer(to); p != nil {
		p.raft.kick()
	}
}

// Push tells a node to close its idle ranges at rev (P26).
func (t *Transport) Push(to proto.NodeID, rev proto.Revision) {
	if p := t.peer(to); p != nil {
		p.raft.push(rev)
	}
}

// Retry opens the streams to a node at once that wait after a failure: it is
// known to be there again.
func (t *Transport) Retry(to proto.NodeID) {
	t.mu.Lock()
	p := t.peers[to]
	t.mu.Unlock()
	if p == nil {
		return
	}
	for _, nudge := range []chan struct{}{p.raft.nudge, p.ops.nudge} {
		select {
		case nudge <- struct{}{}:
		default:
		}
	}
}

// Call runs an operation on another node. The reply carries no error of the
// transport: that is the typed second result (I2).
func (t *Transport) Call(ctx context.Context, to proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	p := t.peer(to)
	if p == nil {
		return nil, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "node is stopping")
	}
	return p.ops.call(ctx, op)
}

func (t *Transport) peer(id proto.NodeID) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[id]; p != nil || t.closed {
		return p
	}
	p := &peer{raft: newRaftSender(t, id), ops: newCaller(t, id)}
	t.peers[id] = p
	t.wg.Add(2)
	go p.raft.run(t.ctx)
	go p.ops.run(t.ctx)
	return p
}

// client returns the generated client over the shared connection.
func (t *Transport) client(id proto.NodeID) (pontoonpb.PeerClient, error) {
	conn, err := t.opts.Peers.Conn(id)
	if err != nil {
		return nil, err
	}
	return pontoonpb.NewPeerClient(conn), nil
}

func callOptions() grpc.CallOption { return grpc.ForceCodecV2(Codec()) }
