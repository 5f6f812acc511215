package transport

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// remoteFeed is a subscription on another node.
type remoteFeed struct {
	stream grpc.ServerStreamingClient[pontoonpb.FeedMessage]
	cancel context.CancelFunc
	stop   func() bool
}

// OpenFeed subscribes to a range on another node. Refusals arrive as the first
// message.
func (t *Transport) OpenFeed(ctx context.Context, to proto.NodeID, req *pontoonpb.FeedRequest) (Feed, error) {
	client, err := t.client(to)
	if err != nil {
		return nil, unavailable("feed: %v", err)
	}
	req.ClusterId = t.opts.ClusterID
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := client.Feed(ctx, req, callOptions())
	if err != nil {
		cancel()
		return nil, unavailable("feed: %v", err)
	}
	return &remoteFeed{stream: stream, cancel: cancel, stop: context.AfterFunc(t.ctx, cancel)}, nil
}

// Recv implements Feed. When ctx ends, so does the feed.
func (f *remoteFeed) Recv(ctx context.Context) (*pontoonpb.FeedMessage, error) {
	defer context.AfterFunc(ctx, f.cancel)()
	m, err := f.stream.Recv()
	if err == nil {
		return m, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	return nil, unavailable("feed: %v", err)
}

// Close implements Feed.
func (f *remoteFeed) Close() {
	f.stop()
	f.cancel()
}

// Feed serves one subscription of a peer.
func (s *Server) Feed(req *pontoonpb.FeedRequest, stream grpc.ServerStreamingServer[pontoonpb.FeedMessage]) error {
	if err := s.t.checkCluster(req.ClusterId); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.t.ctx, cancel)()
	feed, err := s.t.opts.Handler.OpenFeed(ctx, req)
	if err != nil {
		return stream.Send(&pontoonpb.FeedMessage{Ended: proto.ToWire(err)})
	}
	defer feed.Close()
	for {
		m, err := feed.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return stream.Send(&pontoonpb.FeedMessage{Ended: proto.ToWire(err)})
		}
		if err := stream.Send(m); err != nil || m.Ended != nil {
			return err
		}
	}
}
