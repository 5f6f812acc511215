package autocompact

import (
	"context"
	"log/slog"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
)

// Compactor compacts the history.
type Compactor interface {
	// Compact blocks until the floor is recorded.
	Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error)
}

// Options of a Driver.
type Options struct {
	Plan      Plan // nil: it does nothing
	Compactor Compactor
	// Newest is the newest revision known. Must not block.
	Newest func() proto.Revision
	// Leading reports whether this node leads the root range. Must not block.
	Leading func() bool
	Logger  *slog.Logger
}

// Driver carries a plan out.
type Driver struct {
	opts   Options
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewDriver returns a driver that does nothing yet.
func NewDriver(opts Options) *Driver {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Driver{opts: opts, cancel: func() {}}
}

// Start begins to sample and to compact.
func (d *Driver) Start() {
	if d.opts.Plan == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.wg.Go(func() {
		t := time.NewTicker(d.opts.Plan.Interval())
		defer t.Stop()
		for {
			d.tick(ctx)
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

func (d *Driver) tick(ctx context.Context) {
	rev := d.opts.Plan.Tick(time.Now(), d.opts.Newest(), d.opts.Leading())
	if rev == 0 {
		return
	}
	_, err := d.opts.Compactor.Compact(ctx, &pb.CompactionRequest{Revision: int64(rev)})
	switch {
	case err == nil || isCompacted(err): // by hand, or by another leader
		d.opts.Plan.Compacted(time.Now(), rev)
		d.opts.Logger.Info("compacted by itself", "rev", int64(rev))
	case ctx.Err() == nil:
		d.opts.Logger.Warn("not compacted, it is tried again", "rev", int64(rev), "error", err)
	}
}

func isCompacted(err error) bool {
	return status.Convert(err).Message() == status.Convert(rpctypes.ErrGRPCCompacted).Message()
}

// Close ends it.
func (d *Driver) Close() {
	d.cancel()
	d.wg.Wait()
}
