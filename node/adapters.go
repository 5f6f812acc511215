package node

import (
	"cmp"
	"context"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/node/alarm"
	"github.com/pontoon-kv/pontoon/node/api"
	"github.com/pontoon-kv/pontoon/node/auth"
	"github.com/pontoon-kv/pontoon/node/tracing"
	"github.com/pontoon-kv/pontoon/placement/client"
	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/router"
)

// The adapters below say one room's words in another's. They hold no logic.

// numbers is the sequencer client as rangeraft wants it.
type numbers struct{ *client.Client }

// AuthEpoch stands for what clients may do: by their permissions, and by the
// alarms.
func (n numbers) AuthEpoch() uint64 { return n.Client.Epochs().Policy() }

func (n numbers) Ask(count int64, floor proto.Revision, policy uint64, done func(rangeraft.Grant, error)) {
	under := n.Client.Epochs()
	under.Floor = floor
	if under.Policy() != policy {
		// What it was made of is not known any more. Equal to the epochs in force
		// this is only if it is their sum.
		under.Auth, under.Alarm = policy, 0
	}
	n.Client.AskUnder(under, count, func(g client.Grant, err error) { done(rangeraft.Grant(g), err) })
}

// revisions is the sequencer client as the gateway's services want it.
type revisions struct {
	*client.Client
	tracer *tracing.Tracer
}

func (r revisions) read(ctx context.Context) (read client.Read, err error) {
	err = r.tracer.Span(ctx, "read revision", func(ctx context.Context) error {
		read, err = r.Client.ReadRevision(ctx)
		return err
	})
	return read, err
}

type routerRevisions struct{ revisions }

func (r routerRevisions) ReadRevision(ctx context.Context) (router.Read, error) {
	read, err := r.read(ctx)
	return router.Read{Revision: read.Revision, Floor: read.Floor}, cmp.Or(err, auth.Overtaken(ctx, read.Policy()))
}

type plainRevisions struct{ revisions }

func (r plainRevisions) ReadRevision(ctx context.Context) (proto.Revision, error) {
	read, err := r.read(ctx)
	return read.Revision, err
}

func (r revisions) Current(ctx context.Context) (rev, floor proto.Revision, err error) {
	read, err := r.read(ctx)
	return read.Revision, read.Floor, err
}

// calls carries operations to any node, this one included, under a span. The
// store is set before anything runs.
type calls struct {
	store  *rangeraft.Store
	tracer *tracing.Tracer
}

func (c *calls) Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	return c.store.Call(ctx, node, c.tracer.Inject(ctx, op))
}

// localRoot sends operations to the root range's replica on this node, and
// nowhere else: the sequencer's limit must be written by the leader it sits
// beside.
type localRoot struct{ calls *calls }

func (l localRoot) Send(ctx context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	op.RangeId = uint64(proto.RootRange)
	reply := l.calls.store.Do(ctx, op)
	return reply, proto.FromWire(reply.Error)
}

// rootEvents is the sequencer as the root replica wants it.
type rootEvents struct {
	*sequencer.Server
	redirect func(proto.NodeID)
	self     proto.NodeID
	moved    func() // the root range was gained or lost
}

func (r rootEvents) Gained(term proto.Term, confirm rangeraft.LeaseCheck, limit proto.Revision, epochs rangeraft.Epochs) {
	r.Server.Gained(term, sequencer.Confirm(confirm), limit, sequencer.Epochs(epochs))
	r.redirect(r.self)
	r.moved()
}

func (r rootEvents) Lost(term proto.Term) {
	r.Server.Lost(term)
	r.moved()
}

func (r rootEvents) Applied(limit proto.Revision, epochs rangeraft.Epochs) {
	r.Server.Applied(limit, sequencer.Epochs(epochs))
}

// revocation lets the lessor revoke through the coordinator of cross-range
// txns, which is built after it.
type revocation struct {
	kv     *router.KV
	alarms *alarm.Board
}

// RevokeLease ends a lease that expired; not in a corrupt cluster, as in etcd.
func (r *revocation) RevokeLease(ctx context.Context, id proto.LeaseID, term, renewals uint64) (proto.Revision, error) {
	if alarms, err := r.alarms.Current(ctx); err != nil || alarms.Raised(etcdpb.AlarmType_CORRUPT) {
		return 0, cmp.Or(err, rpctypes.ErrGRPCCorrupt)
	}
	return r.kv.Txns().RevokeLease(ctx, id, term, renewals)
}

// headers fills response headers for the router and the lease service.
type headers struct{ *api.Header }

func (h headers) FillHeader(hdr *etcdpb.ResponseHeader) {
	hdr.ClusterId, hdr.MemberId, hdr.RaftTerm = h.ClusterID, uint64(h.MemberID), uint64(h.Term())
}

type leaseHeaders struct{ header *api.Header }

func (h leaseHeaders) Header(rev proto.Revision) *etcdpb.ResponseHeader {
	return h.header.Header(int64(rev))
}

// authEpochs is the sequencer client as the auth guard and the alarms want it.
type authEpochs struct{ *client.Client }

func (a authEpochs) AuthEpoch() uint64 { return a.Client.Epochs().Auth }

func (a authEpochs) AlarmEpoch() uint64 { return a.Client.Epochs().Alarm }

func (a authEpochs) Confirm(ctx context.Context) error {
	_, err := a.Client.ReadRevision(ctx)
	return err
}
