package backup

import (
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
)

const (
	messageBytes  = 256 << 10 // of records in one message
	messageLeases = 10_000    // in one message
	// startTimeout bounds the wait for the other sessions of a backup: views pin
	// disk space.
	startTimeout = time.Minute
)

// Server serves the sessions of other nodes' backups.
type Server struct {
	pontoonpb.UnimplementedBackupServer
	ClusterID uint64
	Store     Store
}

// Collect implements pontoonpb.BackupServer.
func (s *Server) Collect(stream grpc.BidiStreamingServer[pontoonpb.BackupAsk, pontoonpb.BackupReply]) error {
	ask, err := stream.Recv()
	if err != nil {
		return err
	}
	if ask.ClusterId != s.ClusterID {
		return status.Error(codes.FailedPrecondition, "this node belongs to another cluster")
	}
	parts := make([]rangeraft.BackupPart, len(ask.Parts))
	for i, p := range ask.Parts {
		parts[i] = rangeraft.BackupPart{Range: proto.RangeID(p.RangeId), Span: proto.SpanOf(p.Span)}
	}
	view, err := s.Store.Open(stream.Context(), proto.Revision(ask.Revision), parts)
	if err != nil {
		return stream.Send(&pontoonpb.BackupReply{Error: proto.ToWire(err)})
	}
	defer view.Close()
	if err := stream.Send(&pontoonpb.BackupReply{View: &pontoonpb.BackupView{Floor: int64(view.Floor())}}); err != nil {
		return err
	}
	start, err := awaitStart(stream)
	if err != nil {
		return err
	}
	out := &outlet{stream: stream, leases: map[proto.LeaseID]struct{}{}}
	err = (&localSession{view: view, under: proto.Revision(start.Floor)}).collect(sink{
		record: out.record, lease: func(id proto.LeaseID) { out.leases[id] = struct{}{} },
	})
	var re *proto.RangeError
	if errors.As(err, &re) {
		return stream.Send(&pontoonpb.BackupReply{Error: proto.ToWire(err)})
	}
	if err != nil {
		return err
	}
	return out.finish()
}

// awaitStart waits for the second message. What ends the handler ends the wait.
func awaitStart(stream grpc.BidiStreamingServer[pontoonpb.BackupAsk, pontoonpb.BackupReply]) (*pontoonpb.BackupAsk, error) {
	type received struct {
		ask *pontoonpb.BackupAsk
		err error
	}
	c := make(chan received, 1)
	go func() {
		ask, err := stream.Recv()
		c <- received{ask, err}
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case r := <-c:
		if r.err == nil && !r.ask.Start {
			r.err = status.Error(codes.InvalidArgument, "backup: message out of order")
		}
		return r.ask, r.err
	case <-timeout.C:
		return nil, status.Error(codes.DeadlineExceeded, "backup: the gateway did not start the stream")
	}
}

// outlet sends records and leases in messages of bounded size.
type outlet struct {
	stream grpc.BidiStreamingServer[pontoonpb.BackupAsk, pontoonpb.BackupReply]
	buf    []byte
	leases map[proto.LeaseID]struct{}
}

func (o *outlet) record(key, value []byte) error {
	if o.buf == nil {
		o.buf = make([]byte, 0, messageBytes+messageBytes/8)
	}
	o.buf = appendRecord(o.buf, key, value)
	if len(o.buf) < messageBytes {
		return nil
	}
	return o.flush()
}

func (o *outlet) flush() error {
	b := o.buf
	o.buf = nil // the message may be retained
	return o.stream.Send(&pontoonpb.BackupReply{Records: b})
}

func (o *outlet) finish() error {
	if err := o.flush(); err != nil {
		return err
	}
	msg := &pontoonpb.BackupReply{}
	for id := range o.leases {
		msg.Leases = append(msg.Leases, int64(id))
		if len(msg.Leases) == messageLeases {
			if err := o.stream.Send(msg); err != nil {
				return err
			}
			msg = &pontoonpb.BackupReply{}
		}
	}
	msg.Done = true
	return o.stream.Send(msg)
}
