package leasesvc

import (
	"context"
	"errors"
	"io"
	"time"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// retryPause is the pause before a keepalive is sent again.
const retryPause = 50 * time.Millisecond

// LeaseKeepAlive renews leases, in the order of the requests. An unknown lease
// is answered with TTL 0. A service that closes ends the stream between two
// requests, so that clients go on elsewhere.
func (s *Service) LeaseKeepAlive(stream etcdpb.Lease_LeaseKeepAliveServer) error {
	requests, over := make(chan received), make(chan struct{})
	defer close(over)
	go receive(stream, requests, over)
	for {
		var r received
		select {
		case r = <-requests:
		case <-s.closed:
			return rpctypes.ErrGRPCStopped
		}
		if errors.Is(r.err, io.EOF) {
			return nil
		}
		if r.err != nil {
			return r.err
		}
		resp, err := s.keepAlive(stream.Context(), r.id)
		if err != nil {
			return err
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// received is one request of a keepalive stream, or its end.
type received struct {
	id  int64
	err error
}

// receive hands requests on until the stream is over.
func receive(stream etcdpb.Lease_LeaseKeepAliveServer, to chan<- received, over <-chan struct{}) {
	for {
		r, err := stream.Recv()
		select {
		case to <- received{r.GetID(), err}:
		case <-over:
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *Service) keepAlive(ctx context.Context, id int64) (*etcdpb.LeaseKeepAliveResponse, error) {
	// Before the renewal, so that a later revocation has a higher revision.
	header := s.opts.Headers.Header(s.headerRevision(ctx))
	reply, err := s.renew(ctx, id)
	if err != nil {
		return nil, err
	}
	return &etcdpb.LeaseKeepAliveResponse{Header: header, ID: id, TTL: reply.GetTtlSeconds()}, nil
}

// renew sends a keepalive until the lease's home answers it. Renewing twice
// does no harm, so every failure but an answer is worth a retry.
func (s *Service) renew(ctx context.Context, id int64) (*pontoonpb.LeaseReply, error) {
	timed, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	defer cancel()
	op := &pontoonpb.LeaseOp{Kind: pontoonpb.LeaseOpKind_LEASE_KEEPALIVE, Id: id}
	for {
		reply, err := sendLease(timed, s.opts.Sender, homeSpan(id), op)
		switch {
		case err == nil:
			return reply, nil
		case isLeaseNotFound(err):
			return &pontoonpb.LeaseReply{}, nil
		case proto.HasCode(err, pontoonpb.RangeErrorCode_ETCD):
			return nil, proto.ClientError(err)
		}
		if !sleep(timed, retryPause) {
			break
		}
	}
	if ctx.Err() != nil {
		return nil, rpctypes.ErrGRPCCanceled
	}
	return nil, rpctypes.ErrGRPCTimeout
}

// sleep waits; false: the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
