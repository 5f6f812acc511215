package transport

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrSnapshotRefused: the peer got the stream and does not want it.
var ErrSnapshotRefused = errors.New("snapshot refused")

// SnapshotHave asks a peer how much of a session it has.
func (t *Transport) SnapshotHave(ctx context.Context, to proto.NodeID, header *pontoonpb.SnapshotHeader) (int64, error) {
	client, err := t.client(to)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	stream, err := client.RaftSnapshot(ctx, callOptions())
	if err != nil {
		return 0, err
	}
	ask := &pontoonpb.SnapshotHeader{Desc: header.Desc, Session: header.Session, Offset: -1,
		FromNode: uint64(t.opts.NodeID), ClusterId: t.opts.ClusterID}
	if err := stream.Send(&pontoonpb.SnapshotChunk{Header: ask}); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	ack, err := stream.CloseAndRecv()
	return ack.GetHave(), err
}

// SendSnapshot streams a raft snapshot to a node. produce calls emit for each
// chunk of records; emit blocks as the peer and the rate bound demand. It
// returns when the peer has taken the snapshot over.
func (t *Transport) SendSnapshot(ctx context.Context, to proto.NodeID, header *pontoonpb.SnapshotHeader,
	produce func(emit func(records []byte) error) error,
) error {
	client, err := t.client(to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	stream, err := client.RaftSnapshot(ctx, callOptions())
	if err != nil {
		return err
	}
	header.FromNode, header.ClusterId = uint64(t.opts.NodeID), t.opts.ClusterID
	if err := stream.Send(&pontoonpb.SnapshotChunk{Header: header}); err != nil {
		return snapshotRefused(stream, err)
	}
	sum := uint32(0)
	err = produce(func(records []byte) error {
		if err := t.pace.take(ctx, len(records)); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, records)
		return stream.Send(&pontoonpb.SnapshotChunk{Records: records})
	})
	if errors.Is(err, io.EOF) { // the peer ended the stream
		return snapshotRefused(stream, err)
	}
	if err != nil {
		return err
	}
	if err := stream.Send(&pontoonpb.SnapshotChunk{Done: true, Checksum: sum}); err != nil {
		return snapshotRefused(stream, err)
	}
	return snapshotRefused(stream, nil)
}

// snapshotRefused fetches the peer's word.
func snapshotRefused(stream grpc.ClientStreamingClient[pontoonpb.SnapshotChunk, pontoonpb.SnapshotAck], cause error) error {
	ack, err := stream.CloseAndRecv()
	switch {
	case err != nil:
		return err
	case ack.Refused != "":
		return fmt.Errorf("%w: %s", ErrSnapshotRefused, ack.Refused)
	}
	return cause
}

// RaftSnapshot takes one raft snapshot.
func (s *Server) RaftSnapshot(stream grpc.ClientStreamingServer[pontoonpb.SnapshotChunk, pontoonpb.SnapshotAck]) error {
	chunk, err := stream.Recv()
	if err != nil {
		return err
	}
	if chunk.Header == nil {
		return stream.SendAndClose(&pontoonpb.SnapshotAck{Refused: "no header"})
	}
	if err := s.t.checkCluster(chunk.Header.ClusterId); err != nil {
		return err
	}
	if chunk.Header.Offset < 0 {
		return stream.SendAndClose(&pontoonpb.SnapshotAck{Have: s.t.opts.Handler.SnapshotHave(chunk.Header)})
	}
	sum, done := uint32(0), false
	next := func() ([]byte, error) {
		if done {
			return nil, io.EOF
		}
		c, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if c.Done {
			if c.Checksum != sum {
				return nil, errors.New("snapshot checksum differs")
			}
			done = true
			return nil, io.EOF
		}
		sum = crc32.Update(sum, castagnoli, c.Records)
		return c.Records, nil
	}
	if err := s.t.opts.Handler.Snapshot(stream.Context(), chunk.Header, next); err != nil {
		return stream.SendAndClose(&pontoonpb.SnapshotAck{Refused: err.Error()})
	}
	return stream.SendAndClose(&pontoonpb.SnapshotAck{})
}

// SetSnapshotRate changes how many bytes of raft snapshots leave per second.
func (t *Transport) SetSnapshotRate(bytesPerSecond int64) {
	t.pace.bytesPerSecond.Store(max(1, bytesPerSecond))
}

// pacer spreads bytes over time: a token bucket of one second.
type pacer struct {
	bytesPerSecond atomic.Int64

	mu   sync.Mutex
	free time.Time // when everything taken so far is paid for
}

func (p *pacer) take(ctx context.Context, bytes int) error {
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(time.Duration(bytes) * time.Second / time.Duration(p.bytesPerSecond.Load()))
	p.mu.Unlock()
	if wait < 10*time.Millisecond {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
