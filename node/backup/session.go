package backup

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/storage"
)

// sink takes what a session collects. Arguments are valid until it returns.
type sink struct {
	record func(key, value []byte) error
	lease  func(proto.LeaseID) // named by a live key, once or several times
}

// session is one node's pinned view of its share of the ranges.
type session interface {
	floor() proto.Revision
	// start fixes the floor of what collect reads. Does not block for long.
	start(floor proto.Revision) error
	collect(to sink) error
	close()
}

// localSession reads this node's own view.
type localSession struct {
	view  View
	under proto.Revision
}

func (l *localSession) floor() proto.Revision            { return l.view.Floor() }
func (l *localSession) start(floor proto.Revision) error { l.under = floor; return nil }
func (l *localSession) close()                           { l.view.Close() }

func (l *localSession) collect(to sink) error {
	var enc encoder
	return l.view.Scan(l.under, func(ver *storage.Version, newest bool) error {
		if newest && !ver.Tombstone && ver.Lease != 0 {
			to.lease(ver.Lease)
		}
		key, value, err := enc.encode(ver)
		if err != nil {
			return err
		}
		return to.record(key, value)
	})
}

// remoteSession reads another node's, by a stream. While nothing is read from
// it the node stands still, and holds its view.
type remoteSession struct {
	stream grpc.BidiStreamingClient[pontoonpb.BackupAsk, pontoonpb.BackupReply]
	cancel context.CancelFunc
	view   *pontoonpb.BackupView
}

// openRemote returns once the node has pinned its view. Refusals are typed;
// other errors are the connection's.
func openRemote(ctx context.Context, conn *grpc.ClientConn, ask *pontoonpb.BackupAsk) (session, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &remoteSession{cancel: cancel}
	err := func() (err error) {
		r.stream, err = pontoonpb.NewBackupClient(conn).Collect(ctx, grpc.ForceCodecV2(transport.Codec()))
		if err != nil {
			return err
		}
		if err := r.stream.Send(ask); err != nil {
			_, err = r.stream.Recv() // says why
			return err
		}
		reply, err := r.stream.Recv()
		if err != nil {
			return err
		}
		if reply.View == nil {
			return refusedBy(reply)
		}
		r.view = reply.View
		return nil
	}()
	if err != nil {
		cancel()
		return nil, err
	}
	return r, nil
}

func refusedBy(reply *pontoonpb.BackupReply) error {
	if err := proto.FromWire(reply.Error); err != nil {
		return err
	}
	return proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "backup: answer not understood")
}

func (r *remoteSession) floor() proto.Revision { return proto.Revision(r.view.Floor) }
func (r *remoteSession) close()                { r.cancel() }

func (r *remoteSession) start(floor proto.Revision) error {
	return r.stream.Send(&pontoonpb.BackupAsk{Start: true, Floor: int64(floor)})
}

func (r *remoteSession) collect(to sink) error {
	for {
		reply, err := r.stream.Recv()
		if err != nil {
			return err
		}
		if err := proto.FromWire(reply.Error); err != nil {
			return err
		}
		for b := reply.Records; len(b) > 0; {
			var key, value []byte
			if key, value, b, err = takeRecord(b); err == nil {
				err = to.record(key, value)
			}
			if err != nil {
				return err
			}
		}
		for _, id := range reply.Leases {
			to.lease(proto.LeaseID(id))
		}
		if reply.Done {
			return nil
		}
	}
}

// share is the pieces that one node reads.
type share struct {
	node  proto.NodeID
	parts []rangeraft.BackupPart
}

func (s share) wire(cluster uint64, rev proto.Revision) *pontoonpb.BackupAsk {
	ask := &pontoonpb.BackupAsk{ClusterId: cluster, Revision: int64(rev)}
	for _, p := range s.parts {
		ask.Parts = append(ask.Parts, &pontoonpb.BackupPart{RangeId: uint64(p.Range), Span: p.Span.Wire()})
	}
	return ask
}

// divide gives every range to one of the nodes that have a replica of it: this
// node before others, then whoever has most of what is left, so that few views
// are pinned. Nodes in bad have failed before and come last.
func divide(self proto.NodeID, span proto.Span, ranges []*pontoonpb.Descriptor, bad map[proto.NodeID]int) ([]share, error) {
	has := map[proto.NodeID]int{}
	for _, d := range ranges {
		for _, r := range d.Replicas {
			has[proto.NodeID(r.NodeId)]++
		}
	}
	better := func(a, b proto.NodeID) bool {
		switch {
		case bad[a] != bad[b]:
			return bad[a] < bad[b]
		case (a == self) != (b == self):
			return a == self
		case has[a] != has[b]:
			return has[a] > has[b]
		}
		return a < b
	}
	at := map[proto.NodeID]int{}
	var shares []share
	for _, d := range ranges {
		var node proto.NodeID
		for _, r := range d.Replicas {
			if id := proto.NodeID(r.NodeId); r.Role != pontoonpb.ReplicaRole_REPLICA_LEARNER && (node == 0 || better(id, node)) {
				node = id
			}
		}
		if node == 0 {
			return nil, fmt.Errorf("range %d has no voter", d.RangeId)
		}
		i, known := at[node]
		if !known {
			i = len(shares)
			at[node], shares = i, append(shares, share{node: node})
		}
		shares[i].parts = append(shares[i].parts, rangeraft.BackupPart{
			Range: proto.RangeID(d.RangeId), Span: proto.SpanOf(d.Span).Intersect(span),
		})
	}
	return shares, nil
}
