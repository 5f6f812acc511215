package alarm

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
)

// Store is the store that a quota bounds.
type Store interface {
	// Used is what users' data takes, bytes, every committed write included. It
	// may measure.
	Used() int64
	// Disk is how much room the file system has for this process and in all,
	// bytes; zero where it does not say.
	Disk() (free, total int64, err error)
	// Backlog is how much room the store may need for what it took already, and
	// without which it stops working.
	Backlog() int64
}

// QuotaOptions configure a Quota.
type QuotaOptions struct {
	Store Store
	// Bytes is the quota. 0: what the disk has room for. Whatever it is, a reserve
	// of the disk stays free: a twentieth of it, at most 1 GiB, and the store's
	// backlog, at most half of it. Negative: neither.
	Bytes  int64
	Board  *Board
	Node   proto.NodeID
	Logger *slog.Logger
	// Interval is how often the store is looked at when nobody writes through
	// this node. Default 1 s.
	Interval time.Duration
}

const (
	reserveShare = 20 // of the disk
	reserveMax   = 1 << 30
	raiseTimeout = 5 * time.Second
)

// Quota bounds what users' data may take in this node's store, and raises
// NOSPACE where a follower's replicas fill it, too.
type Quota struct {
	opts   QuotaOptions
	room   atomic.Int64 // bytes of users' data with which the disk is full but for the reserve
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewQuota returns a quota that was looked at once.
func NewQuota(opts QuotaOptions) *Quota {
	if opts.Interval <= 0 {
		opts.Interval = time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	q := &Quota{opts: opts, cancel: func() {}}
	q.look()
	return q
}

// Limit is the quota as it is now, bytes; negative: none.
func (q *Quota) Limit() int64 {
	switch n := q.room.Load(); {
	case q.opts.Bytes != 0:
		return max(-1, q.opts.Bytes)
	case n != math.MaxInt64:
		return n
	}
	return -1
}

// Full implements Room. The comparison is etcd's.
func (q *Quota) Full(cost int64) bool {
	limit := q.room.Load()
	if q.opts.Bytes > 0 {
		limit = min(limit, q.opts.Bytes)
	}
	return limit != math.MaxInt64 && q.opts.Store.Used()+cost >= limit
}

// look finds out how much room the disk has.
func (q *Quota) look() {
	if q.opts.Bytes < 0 {
		q.room.Store(math.MaxInt64)
		return
	}
	free, total, err := q.opts.Store.Disk()
	if err != nil {
		q.opts.Logger.Warn("room on the disk not known", "error", err)
		return // as it was
	}
	if total == 0 {
		q.room.Store(math.MaxInt64)
		return
	}
	reserve := min(max(min(total/reserveShare, reserveMax), q.opts.Store.Backlog()), total/2)
	q.room.Store(max(1, q.opts.Store.Used()+free-reserve))
}

// Start begins to look at the store and at the alarms every now and then.
func (q *Quota) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	q.wg.Go(func() {
		t := time.NewTicker(q.opts.Interval)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				q.look()
				q.tell(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
}

// tell raises the alarm if the store is full, and keeps the alarms at hand.
func (q *Quota) tell(ctx context.Context) {
	full := q.Full(0)
	if !full && q.opts.Board.fresh() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, raiseTimeout)
	defer cancel()
	s, err := q.opts.Board.Current(ctx)
	if err == nil && full && !s.has(alarm{pb.AlarmType_NOSPACE, uint64(q.opts.Node)}) {
		err = q.opts.Board.Raise(ctx, q.opts.Node, pb.AlarmType_NOSPACE)
	}
	if err != nil && ctx.Err() == nil {
		q.opts.Logger.Debug("alarms", "error", err)
	}
}

// Close ends that.
func (q *Quota) Close() {
	q.cancel()
	q.wg.Wait()
}
