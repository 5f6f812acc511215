package leasesvc

import (
	"context"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Sender carries an operation to the leader of the range that holds the start
// of its span, following redirects. Errors are proto.RangeError where the
// range said so, as error or inside the reply.
type Sender interface {
	Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error)
}

// Ranges knows the ranges.
type Ranges interface {
	// Cover returns descriptors that tile the span, in key order. They may be
	// out of date: the ranges themselves refuse what they do not hold.
	Cover(ctx context.Context, span proto.Span) ([]*pontoonpb.Descriptor, error)
}

// Revoker deletes a lease and all its keys in one revision.
type Revoker interface {
	// RevokeLease returns the revision of the deletion, or the read revision
	// if no key went. expireTerm 0: a client's wish. Otherwise it fails with
	// LEASE_CHANGED if the lease is not as it was decided on (P39).
	RevokeLease(ctx context.Context, id proto.LeaseID, expireTerm, expireRenewals uint64) (proto.Revision, error)
}

// Sequencer is the node's client of the sequencer.
type Sequencer interface {
	// Seen returns the highest number known, without asking.
	Seen() proto.Revision
	// ReadRevision returns a number no smaller than any granted before.
	ReadRevision(ctx context.Context) (proto.Revision, error)
}

// Headers makes response headers with the ids of cluster, member and term.
type Headers interface {
	Header(rev proto.Revision) *etcdpb.ResponseHeader
}
