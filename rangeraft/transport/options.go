package transport

import (
	"errors"
	"log/slog"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
)

// Options of a Transport. Zero values mean the default.
type Options struct {
	NodeID    proto.NodeID
	ClusterID uint64
	Peers     Peers
	Handler   Handler
	Logger    *slog.Logger

	// OnSendFailure is called when a raft message to a node was dropped or the
	// stream of such messages broke or could not be opened. It must not block.
	// Nil: nobody listens.
	OnSendFailure func(to proto.NodeID)

	// RaftQueue bounds raft messages waiting for one node. Default 8192.
	RaftQueue int
	// RaftQueueBytes bounds their bytes. Default 64 MiB.
	RaftQueueBytes int
	// CallQueue bounds operations waiting or in flight to one node. Default 65536.
	CallQueue int
	// Pages bounds pages of reads that are gathered or wait to be sent; more wait.
	// Default 64.
	Pages int
	// FrameBytes is where a frame is cut. Default 1 MiB.
	FrameBytes int
	// SnapshotBytesPerSecond bounds all outgoing raft snapshots. Default 64 MiB.
	SnapshotBytesPerSecond int
	// RetryMin and RetryMax bound the wait before a stream is opened again.
	// Defaults 20 ms and 1 s.
	RetryMin, RetryMax time.Duration
}

// Validate fills defaults and checks what has none.
func (o *Options) Validate() error {
	if o.NodeID == 0 || o.Peers == nil || o.Handler == nil {
		return errors.New("transport: NodeID, Peers and Handler are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnSendFailure == nil {
		o.OnSendFailure = func(proto.NodeID) {}
	}
	positive(&o.RaftQueue, 8192)
	positive(&o.RaftQueueBytes, 64<<20)
	positive(&o.CallQueue, 65536)
	positive(&o.Pages, 64)
	positive(&o.FrameBytes, 1<<20)
	positive(&o.SnapshotBytesPerSecond, 64<<20)
	positive(&o.RetryMin, 20*time.Millisecond)
	positive(&o.RetryMax, 300*time.Millisecond)
	return nil
}

func positive[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
