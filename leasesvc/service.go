package leasesvc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// MaxTTL is etcd's bound on a lease's TTL, in seconds.
const MaxTTL = 9_000_000_000

// ServiceOptions configure a Service.
type ServiceOptions struct {
	Sender    Sender
	Ranges    Ranges
	Revoker   Revoker
	Sequencer Sequencer
	Headers   Headers
	// ElectionTimeout gives the least TTL: one and a half of it, in whole
	// seconds. Default 1 s, least TTL 2 s.
	ElectionTimeout time.Duration
	// RequestTimeout bounds every call. Default 7 s, as in etcd.
	RequestTimeout time.Duration
	// HeaderWait is how long an answer waits for an exact header revision
	// before it goes out with the highest one known (P39). Default 500 ms: longer
	// than a busy machine hesitates, shorter than half the least TTL.
	HeaderWait time.Duration
	Logger     *slog.Logger
}

// Service is etcd's Lease service.
type Service struct {
	etcdpb.UnimplementedLeaseServer
	opts   ServiceOptions
	minTTL int64
	// quietUntil: no exact header revision is asked for before that time
	// (Unix nanoseconds).
	quietUntil atomic.Int64
	closed     chan struct{}
	closing    sync.Once
}

// NewService returns the service.
func NewService(opts ServiceOptions) *Service {
	if opts.ElectionTimeout <= 0 {
		opts.ElectionTimeout = time.Second
	}
	if opts.RequestTimeout <= 0 {
		opts.RequestTimeout = 7 * time.Second
	}
	if opts.HeaderWait <= 0 {
		opts.HeaderWait = 500 * time.Millisecond
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{
		opts:   opts,
		closed: make(chan struct{}),
		minTTL: int64(math.Ceil(1.5 * opts.ElectionTimeout.Seconds())),
	}
}

// Close ends the keepalive streams with Unavailable, so that clients go on
// elsewhere. Other calls finish.
func (s *Service) Close() { s.closing.Do(func() { close(s.closed) }) }

// headerQuiet is how long headers do without exact revisions once the root
// range did not answer in time.
const headerQuiet = time.Second

// headerRevision returns the revision of an answer's header: exact while the
// root range answers promptly, else what the node has seen, so that a failover
// of the root range delays no keepalive (P39).
func (s *Service) headerRevision(ctx context.Context) proto.Revision {
	now := time.Now()
	if now.UnixNano() < s.quietUntil.Load() {
		return s.opts.Sequencer.Seen()
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.HeaderWait)
	defer cancel()
	rev, err := s.opts.Sequencer.ReadRevision(ctx)
	if err != nil {
		s.quietUntil.Store(time.Now().Add(headerQuiet).UnixNano())
		return s.opts.Sequencer.Seen()
	}
	return rev
}

// LeaseGrant creates a lease.
func (s *Service) LeaseGrant(ctx context.Context, r *etcdpb.LeaseGrantRequest) (*etcdpb.LeaseGrantResponse, error) {
	if r.TTL > MaxTTL {
		return nil, rpctypes.ErrGRPCLeaseTTLTooLarge
	}
	id := r.ID
	for id == 0 {
		id = int64(random() & math.MaxInt64)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	op := &pontoonpb.LeaseOp{
		Kind: pontoonpb.LeaseOpKind_LEASE_GRANT, Id: id, TtlSeconds: max(r.TTL, s.minTTL), Incarnation: random(),
	}
	if _, err := sendLease(ctx, s.opts.Sender, homeSpan(id), op); err != nil {
		return nil, proto.ClientError(err)
	}
	return &etcdpb.LeaseGrantResponse{
		Header: s.opts.Headers.Header(s.headerRevision(ctx)), ID: id, TTL: op.TtlSeconds,
	}, nil
}

// LeaseRevoke deletes a lease and its keys, in one revision.
func (s *Service) LeaseRevoke(ctx context.Context, r *etcdpb.LeaseRevokeRequest) (*etcdpb.LeaseRevokeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	rev, err := s.opts.Revoker.RevokeLease(ctx, proto.LeaseID(r.ID), 0, 0)
	if err != nil {
		return nil, proto.ClientError(err)
	}
	return &etcdpb.LeaseRevokeResponse{Header: s.opts.Headers.Header(rev)}, nil
}

func homeSpan(lease int64) proto.Span { return keys.Point(keys.Lease(proto.LeaseID(lease))) }

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
