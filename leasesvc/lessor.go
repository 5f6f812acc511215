package leasesvc

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/leasesvc/lessor"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// LessorOptions configure a Lessor.
type LessorOptions struct {
	Revoker Revoker
	Sender  Sender
	// Seen is the highest revision known to the node.
	Seen func() proto.Revision
	// ElectionTimeout is what every lease gets on top after a change of
	// leader. Default 1 s.
	ElectionTimeout time.Duration
	// TickInterval is how often expired leases are looked for. Default 500 ms.
	TickInterval time.Duration
	// RevokeRate bounds the expiries of a second. Default 1000.
	RevokeRate int
	// InFlight bounds the expiries that are carried out at once. Default 16.
	InFlight int
	// RevokeTimeout bounds one of them. Default 7 s.
	RevokeTimeout time.Duration
	// CheckpointInterval is how often remaining TTLs are written down. Default
	// 0: never, as in etcd.
	CheckpointInterval time.Duration
	Logger             *slog.Logger
	Registerer         prometheus.Registerer
}

const expiryRetryInterval = 3 * time.Second

func (o *LessorOptions) defaults() {
	if o.ElectionTimeout <= 0 {
		o.ElectionTimeout = time.Second
	}
	if o.TickInterval <= 0 {
		o.TickInterval = 500 * time.Millisecond
	}
	if o.RevokeRate <= 0 {
		o.RevokeRate = 1000
	}
	if o.InFlight <= 0 {
		o.InFlight = 16
	}
	if o.RevokeTimeout <= 0 {
		o.RevokeTimeout = 7 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Lessor keeps the time of the leases of all lease ranges that this node
// leads. All methods but Serve return without blocking, and may be called from
// a range's apply and evaluation.
type Lessor struct {
	opts    LessorOptions
	metrics lessorMetrics
	expired chan lessor.Expiry
	ctx     context.Context // of the expiry goroutines; ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex
	ranges map[proto.RangeID]*homeRange
}

// homeRange is one range of the lease span that this node leads.
type homeRange struct {
	kernel   *lessor.Kernel
	outcomes map[proto.LeaseID]chan struct{} // closed when a revocation ends
}

// NewLessor returns a lessor; Start makes it expire leases.
func NewLessor(opts LessorOptions) *Lessor {
	opts.defaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Lessor{
		opts: opts, metrics: newLessorMetrics(opts.Registerer), ctx: ctx, cancel: cancel,
		expired: make(chan lessor.Expiry, opts.RevokeRate/2+1),
		ranges:  map[proto.RangeID]*homeRange{},
	}
}

// Gained makes the node lessor of a range in term, which has applied the given
// records. A second call for the same term tells of a changed span (split):
// leases that stay keep their time.
func (l *Lessor) Gained(id proto.RangeID, term proto.Term, span proto.Span, records []*pontoonpb.LeaseRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if r := l.ranges[id]; r != nil && r.kernel.Term() == term {
		r.kernel.Resize(now, span, records)
		r.settleAll()
		return
	}
	l.drop(id)
	cfg := lessor.Config{
		Extend: l.opts.ElectionTimeout, RevokeRate: l.opts.RevokeRate,
		RetryInterval: expiryRetryInterval, CheckpointInterval: l.opts.CheckpointInterval,
	}
	l.ranges[id] = &homeRange{
		kernel:   lessor.New(cfg, now, term, span, records),
		outcomes: map[proto.LeaseID]chan struct{}{},
	}
	l.opts.Logger.Info("lessor gained", "range", uint64(id), "term", uint64(term), "leases", len(records))
}

// Lost ends being lessor of a range. Whoever waits is sent elsewhere.
func (l *Lessor) Lost(id proto.RangeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(id)
}

func (l *Lessor) drop(id proto.RangeID) {
	if r := l.ranges[id]; r != nil {
		delete(l.ranges, id)
		r.settleAll()
	}
}

// Applied takes in what a range applied.
func (l *Lessor) Applied(id proto.RangeID, puts []*pontoonpb.LeaseRecord, deletes []proto.LeaseID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.ranges[id]
	if r == nil {
		return
	}
	now := time.Now()
	for _, p := range puts {
		r.kernel.Put(now, p)
	}
	for _, d := range deletes {
		r.kernel.Delete(d)
		r.settle(d)
	}
}

// BeginRevoke begins the revocation of a lease in its range's evaluation. An
// expiry names term and renewals; term 0 is a client's wish (P39).
func (l *Lessor) BeginRevoke(id proto.LeaseID, term, renewals uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.homeOf(id)
	if r == nil {
		return proto.NotLeader(0)
	}
	err := r.kernel.BeginRevoke(time.Now(), id, proto.Term(term), renewals)
	switch {
	case errors.Is(err, lessor.ErrNotFound):
		return proto.Answer(rpctypes.ErrGRPCLeaseNotFound)
	case err != nil:
		return proto.Errorf(pontoonpb.RangeErrorCode_LEASE_CHANGED, "lease %x: %v", int64(id), err)
	}
	return nil
}

// EndRevoke tells the outcome of a revocation that was begun.
func (l *Lessor) EndRevoke(id proto.LeaseID, revoked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.homeOf(id); r != nil {
		r.kernel.EndRevoke(id, revoked)
		if !revoked {
			r.settle(id)
		}
	}
}

func (l *Lessor) homeOf(id proto.LeaseID) *homeRange {
	key := keys.Lease(id)
	for _, r := range l.ranges {
		if r.kernel.Span().Contains(key) {
			return r
		}
	}
	return nil
}

// outcome returns what is closed when the revocation of a lease ends.
func (r *homeRange) outcome(id proto.LeaseID) <-chan struct{} {
	c := r.outcomes[id]
	if c == nil {
		c = make(chan struct{})
		r.outcomes[id] = c
	}
	return c
}

func (r *homeRange) settle(id proto.LeaseID) {
	if c := r.outcomes[id]; c != nil {
		delete(r.outcomes, id)
		close(c)
	}
}

func (r *homeRange) settleAll() {
	for id := range r.outcomes {
		r.settle(id)
	}
}
