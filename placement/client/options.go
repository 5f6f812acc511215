package client

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
)

// Options configure a Client.
type Options struct {
	Node      proto.NodeID
	Boot      uint64 // random per process start, not 0
	ClusterID uint64
	Local     Local // nil: no sequencer on this node
	Peers     Peers // nil: a single node
	// Roots lists the nodes with a replica of the root range, as far as known.
	// It must not block.
	Roots func() []proto.NodeID
	// FoldInterval is the least time between two messages while one is
	// unanswered. Default 0: none.
	FoldInterval time.Duration
	// Timeout is how long a caller waits for a sequencer. Default 5 s.
	Timeout time.Duration
	// ReplyTimeout is how long a message may stay unanswered before another
	// replica is tried. Default 500 ms, the election timeout of the root range.
	ReplyTimeout time.Duration
	// MaxBackoff bounds the pause between tries to find the leader. Default
	// 20 ms; the first is 5 ms. A node asks once for all that waits on it, and
	// every write of the cluster waits for it.
	MaxBackoff time.Duration
	// OpenTimeout is how long a stream to a replica may take to open. Default
	// 150 ms.
	OpenTimeout time.Duration
	// MaxAsks bounds the asks that wait. Default 65536.
	MaxAsks    int
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) defaults() error {
	if o.Boot == 0 || o.Node == 0 {
		return errors.New("sequencer client: node and boot id are required")
	}
	if o.Roots == nil {
		return errors.New("sequencer client: Roots is required")
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.ReplyTimeout <= 0 {
		o.ReplyTimeout = 500 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 20 * time.Millisecond
	}
	if o.OpenTimeout <= 0 {
		o.OpenTimeout = 150 * time.Millisecond
	}
	if o.MaxAsks <= 0 {
		o.MaxAsks = 1 << 16
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
