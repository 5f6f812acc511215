package watchmux

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

// Options of the service.
type Options struct {
	ClusterID, MemberID uint64
	// RaftTerm fills response headers; nil: 0.
	RaftTerm func() uint64

	// ProgressInterval of periodic progress notices. Default 10 min, at least
	// 100 ms; up to a tenth is added at random for each stream.
	ProgressInterval time.Duration
	// MaxRequestBytes as given to the server; responses of watchers that asked
	// for fragments are cut at 512 KiB more. Default 1.5 MiB.
	MaxRequestBytes int
	// Linger is how long the feed of a range that nobody watches is kept.
	// Default 30 s.
	Linger time.Duration
	// PushInterval is the least time between two pushes. Default 1 ms.
	PushInterval time.Duration
	// RefreshInterval is how often ranges that stay idle are pushed to close,
	// so that a feed can always be resumed above the floor. Default 2 s.
	RefreshInterval time.Duration
	// CatchUpWorkers read history at a time. Default 16.
	CatchUpWorkers int
	// HistoryBytes bounds a page of history and what is read to join a
	// watcher. Default 4 MiB.
	HistoryBytes int64
	// Limits of the kernel.
	Limits merge.Limits

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics are registered
}

// Ports are what the service needs of the rest of the node.
type Ports struct {
	Ranges    Ranges
	Feeds     Feeds
	History   History
	Sequencer Sequencer
	Closer    Closer
	// Permissions; nil: everybody may watch everything.
	Permissions Permissions
}

const (
	minProgressInterval = 100 * time.Millisecond // as in etcd
	fragmentOverhead    = 512 << 10              // as in etcd
)

// Validate reports what cannot work.
func (o Options) Validate() error {
	if o.ProgressInterval < 0 || o.Linger < 0 || o.PushInterval < 0 || o.RefreshInterval < 0 {
		return errors.New("watchmux: intervals must not be negative")
	}
	return nil
}

func (o Options) withDefaults() Options {
	o.ProgressInterval = max(cmp.Or(o.ProgressInterval, 10*time.Minute), minProgressInterval)
	o.MaxRequestBytes = cmp.Or(o.MaxRequestBytes, 3<<19)
	o.Linger = cmp.Or(o.Linger, 30*time.Second)
	o.PushInterval = cmp.Or(o.PushInterval, time.Millisecond)
	o.RefreshInterval = cmp.Or(o.RefreshInterval, 2*time.Second)
	o.CatchUpWorkers = cmp.Or(o.CatchUpWorkers, 16)
	o.HistoryBytes = cmp.Or(o.HistoryBytes, 4<<20)
	o.Limits.GroupBytes = cmp.Or(o.Limits.GroupBytes, 32<<20)
	if o.RaftTerm == nil {
		o.RaftTerm = func() uint64 { return 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
