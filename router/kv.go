package router

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/router/rangecache"
	"github.com/pontoon-kv/pontoon/router/txn"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// DefaultRequestTimeout is etcd's: 5 s and two election timeouts.
const DefaultRequestTimeout = 7 * time.Second

// Options of a Router. The ports are needed, the rest has defaults.
type Options struct {
	Node      proto.NodeID
	Boot      uint64 // random per process start
	Sender    *Sender
	Cache     *rangecache.Cache // the sender's
	Transport Transport
	Sequencer Sequencer
	Replicas  Replicas
	Leases    LeaseHome
	Header    HeaderSource
	Answers   Answers // nil: nothing bounds them
	Logger    *slog.Logger

	RequestTimeout  time.Duration // 0: DefaultRequestTimeout
	MaxRequestBytes int           // 0: etcdop.DefaultMaxRequestBytes
	MaxTxnOps       int           // 0: etcdop.DefaultMaxTxnOps
	PageBytes       int64         // 0: 1 MiB; of what one range says to a list at a time
}

// KV is etcd's KV service over ranges.
type KV struct {
	pb.UnimplementedKVServer

	node      proto.NodeID
	sender    *Sender
	transport Transport
	sequencer Sequencer
	replicas  Replicas
	header    HeaderSource
	answers   Answers
	txns      *txn.Coordinator
	pages     *pages

	timeout   time.Duration
	maxBytes  int
	maxTxnOps int
	pageBytes int64

	answered atomic.Int64 // highest revision in an answer (P28)
	lostAt   atomic.Int64 // when no quorum was reachable, unix nanoseconds
}

// New returns the service. Close it before its ports.
func New(o Options) *KV {
	kv := &KV{
		node: o.Node, sender: o.Sender, transport: o.Transport, sequencer: o.Sequencer, replicas: o.Replicas,
		header: o.Header, pages: newPages(maxPages), timeout: o.RequestTimeout, maxBytes: o.MaxRequestBytes,
		maxTxnOps: o.MaxTxnOps, answers: o.Answers, pageBytes: o.PageBytes,
	}
	if kv.pageBytes == 0 {
		kv.pageBytes = defaultPageBytes
	}
	if kv.answers == nil {
		kv.answers = unbounded{}
	}
	if kv.timeout == 0 {
		kv.timeout = DefaultRequestTimeout
	}
	if kv.maxBytes == 0 {
		kv.maxBytes = etcdop.DefaultMaxRequestBytes
	}
	if kv.maxTxnOps == 0 {
		kv.maxTxnOps = etcdop.DefaultMaxTxnOps
	}
	kv.txns = txn.New(txn.Options{
		Node: o.Node, Boot: o.Boot, Sender: o.Sender, Sequencer: o.Sequencer, Leases: o.Leases, Reader: kv,
		Logger: o.Logger,
	})
	return kv
}

// unbounded is as many Answers as come.
type unbounded struct{}

func (unbounded) Grow(context.Context, int64) error { return nil }
func (unbounded) Restart(context.Context)           {}

// Close stops background work and waits for it.
func (kv *KV) Close() { kv.txns.Close() }

// Txns is the coordinator of cross-range txns, which also revokes leases.
func (kv *KV) Txns() *txn.Coordinator { return kv.txns }

// Answered is the highest revision that this gateway answered with.
func (kv *KV) Answered() proto.Revision { return proto.Revision(kv.answered.Load()) }

// Observe tells that a revision was delivered to a client of this gateway by
// another service, so that serializable answers do not fall behind it (P28).
func (kv *KV) Observe(rev proto.Revision) {
	for {
		old := kv.answered.Load()
		if int64(rev) <= old || kv.answered.CompareAndSwap(old, int64(rev)) {
			return
		}
	}
}

// fill completes the header of an answer at revision rev.
func (kv *KV) fill(h *pb.ResponseHeader, rev proto.Revision) *pb.ResponseHeader {
	if h == nil {
		h = &pb.ResponseHeader{}
	}
	h.Revision = int64(rev)
	kv.header.FillHeader(h)
	kv.Observe(rev)
	return h
}

// bounded gives a request etcd's request timeout unless it has a shorter one.
func (kv *KV) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, kv.timeout)
}
