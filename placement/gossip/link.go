package gossip

import (
	"context"
	"errors"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const (
	linkDepth   = 256
	openTimeout = 3 * time.Second
)

var errBroken = errors.New("gossip: the link broke")

// link is the outgoing Peer.Gossip stream to one node.
type link struct {
	node  proto.NodeID
	queue chan *pontoonpb.GossipPacket
	up    chan struct{} // closed when the stream is open
	down  chan struct{} // closed when it is over
}

func newLink(node proto.NodeID) *link {
	return &link{
		node: node, queue: make(chan *pontoonpb.GossipPacket, linkDepth),
		up: make(chan struct{}), down: make(chan struct{}),
	}
}

// run opens the stream and sends until it breaks or ctx ends.
func (l *link) run(ctx context.Context, peers Peers) {
	defer close(l.down)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cc, err := peers.Conn(l.node)
	if err != nil {
		return
	}
	opening := time.AfterFunc(openTimeout, cancel)
	stream, err := pontoonpb.NewPeerClient(cc).Gossip(ctx)
	opening.Stop()
	if err != nil {
		return
	}
	close(l.up)
	go func() {
		// Nothing comes back but the end.
		defer cancel()
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case p := <-l.queue:
			if err := stream.Send(p); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// offer queues a datagram, or drops it (I2).
func (l *link) offer(p *pontoonpb.GossipPacket) {
	select {
	case l.queue <- p:
	default:
	}
}

// push queues a part of a connection. It blocks while the queue is full.
func (l *link) push(p *pontoonpb.GossipPacket, deadline <-chan time.Time) error {
	select {
	case l.queue <- p:
		return nil
	case <-l.down:
		return errBroken
	case <-deadline:
		return errTimeout
	}
}

// await blocks until the stream is open.
func (l *link) await(timeout time.Duration) error {
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-l.up:
		return nil
	case <-l.down:
		return errBroken
	case <-t.C:
		return errTimeout
	}
}
