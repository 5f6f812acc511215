package driver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Driver plans and carries out while its node leads the root range.
type Driver struct {
	opts    Options
	metrics metrics
	wake    chan struct{}
	ctx     context.Context // of all goroutines; ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu    sync.Mutex
	reign *reign // nil: this node does not drive
}

// reign is the time in which this node drives. Its fields are guarded by the
// driver's lock.
type reign struct {
	ctx     context.Context // of its operators
	cancel  context.CancelFunc
	workers sync.WaitGroup

	figures *figures
	set     *operator.Set
	stops   map[uint64]context.CancelFunc // of running operators, by id
	view    *plan.View                    // of the last plan; nil: none was made yet
	blocked []plan.Blocked                // by the last plan
	quiet   int                           // plans in a row without anything to do
}

// New returns a driver; Start makes it drive.
func New(opts Options) (*Driver, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Driver{
		opts: opts, metrics: newMetrics(opts.Registerer), wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
	}, nil
}

// Start spawns the driver.
func (d *Driver) Start() { d.wg.Go(d.run) }

// Close stops it where it is; the next driver goes on from there.
func (d *Driver) Close() {
	d.cancel()
	d.wg.Wait()
}

// Wake makes it look at once: the root range was gained or lost, or settings or
// nodes changed. It does not block.
func (d *Driver) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

const (
	// Pauses between rounds are at least so many times as long as a round takes,
	// fewer while operators run, within maxPause.
	costFactor     = 50
	costFactorBusy = 4
	maxPause       = 10 * time.Second
	// While nothing changes in many ranges, the pause is an interval for every
	// rangesAnInterval of them: a round costs all nodes time and garbage by range.
	quietRounds      = 10
	manyRanges       = 500
	rangesAnInterval = 1000
	quietPause       = 4 // intervals at least
)

func (d *Driver) run() {
	defer d.abdicate()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		pause := d.opts.Interval
		if d.opts.Root.Leading() {
			start := time.Now()
			running, quiet := d.round(d.rule())
			pause = d.pause(running, quiet, time.Since(start))
		} else {
			d.abdicate()
		}
		timer.Reset(pause)
	}
}

// pause is the time between two rounds.
func (d *Driver) pause(running bool, quiet int, took time.Duration) time.Duration {
	pause := max(d.opts.Interval, costFactor*took)
	switch {
	case running:
		pause = max(d.opts.Interval, costFactorBusy*took)
	case quiet > manyRanges:
		pause = max(pause, time.Duration(max(quietPause, quiet/rangesAnInterval))*d.opts.Interval)
	}
	return min(pause, maxPause)
}

// rule begins to drive, knowing nothing.
func (d *Driver) rule() *reign {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reign == nil {
		r := &reign{figures: newFigures(), set: operator.NewSet(keptOperators), stops: map[uint64]context.CancelFunc{}}
		r.ctx, r.cancel = context.WithCancel(d.ctx)
		r.set.Renew(uint64(time.Now().Unix())) // above those of drivers before
		d.reign = r
		d.opts.Logger.Info("placement driven here")
	}
	return d.reign
}

// abdicate drops all operators and what was known (I1).
func (d *Driver) abdicate() {
	d.mu.Lock()
	r := d.reign
	d.reign = nil
	d.mu.Unlock()
	if r == nil {
		return
	}
	r.cancel()
	r.workers.Wait()
	d.metrics.reset()
	d.opts.Logger.Info("placement no longer driven here", "dropped", len(r.set.Running()))
}

// round looks at everything, plans, and starts what was planned. It reports
// whether operators run, and, if none did for long, how many ranges were looked
// at in vain.
func (d *Driver) round(r *reign) (running bool, quiet int) {
	ctx, cancel := context.WithTimeout(r.ctx, d.opts.Timeout)
	defer cancel()
	records, settings, err := d.read(ctx)
	if err != nil {
		d.opts.Logger.Debug("placement round skipped", "err", err)
		return false, 0
	}
	d.pull(ctx, r, records)

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reign != r || r.ctx.Err() != nil || !d.opts.Root.Leading() {
		return false, 0
	}
	now := time.Now()
	r.view = r.freeze(records, settings, d.opts.Liveness, now)
	result := plan.Make(r.view)
	r.blocked = result.Blocked
	d.metrics.underReplicated.Set(float64(result.UnderReplicated))
	d.metrics.withoutLeader.Set(float64(result.WithoutLeader))
	for _, o := range result.Operators {
		if len(r.stops) >= d.opts.MaxOperators {
			break // I4
		}
		d.startLocked(r, o)
	}
	r.quiet++
	if len(r.stops) > 0 {
		r.quiet = 0
	}
	if r.quiet > quietRounds {
		quiet = len(r.view.Ranges)
	}
	return len(r.stops) > 0, quiet
}

func (d *Driver) read(ctx context.Context) ([]*pontoonpb.NodeRecord, *pontoonpb.Settings, error) {
	records, err := d.opts.Roster.Nodes(ctx)
	if err != nil {
		return nil, nil, err
	}
	settings, err := d.opts.Roster.Settings(ctx)
	return records, settings, err
}

// pull asks all nodes that live for a report.
func (d *Driver) pull(ctx context.Context, r *reign, records []*pontoonpb.NodeRecord) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelReports)
	for _, n := range records {
		id := proto.NodeID(n.NodeId)
		if n.State == pontoonpb.NodeState_NODE_REMOVED || !d.opts.Liveness.Live(id) {
			continue
		}
		slots <- struct{}{}
		d.mu.Lock()
		boot, since := r.figures.last(id, time.Now())
		d.mu.Unlock()
		wg.Go(func() {
			defer func() { <-slots }()
			rep, err := d.opts.Reports.Reports(ctx, id, boot, since)
			if err != nil {
				d.opts.Logger.Debug("no report", "node", n.NodeId, "err", err)
				return
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			r.figures.report(id, rep, time.Now())
		})
	}
	wg.Wait()
}

// startLocked admits an operator and gives it a goroutine.
func (d *Driver) startLocked(r *reign, o *operator.Operator) bool {
	if !r.set.Admit(o) {
		return false
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.stops[o.ID] = cancel
	d.metrics.inFlight.Set(float64(len(r.stops)))
	d.opts.Logger.Info("operator started", "operator", o.ID, "range", uint64(o.Range), "kind", string(o.Kind), "reason", o.Reason)
	r.workers.Go(func() {
		defer cancel()
		w := worker{d, r, o}
		w.run(ctx)
	})
	return true
}

// retireLocked takes note of an operator that ended.
func (d *Driver) retireLocked(r *reign, o *operator.Operator, started time.Time) {
	if r.stops[o.ID] == nil {
		return // was canceled
	}
	r.stops[o.ID]()
	delete(r.stops, o.ID)
	r.set.Retire(o)
	d.metrics.inFlight.Set(float64(len(r.stops)))
	d.metrics.ended(o)
	level := slog.LevelInfo
	if o.State() == operator.Failed || o.State() == operator.TimedOut {
		level = slog.LevelWarn
	}
	d.opts.Logger.Log(context.Background(), level, "operator ended", "operator", o.ID, "range", uint64(o.Range),
		"kind", string(o.Kind), "state", string(o.State()), "reason", o.Reason, "err", o.Err(),
		"took", o.Ended().Sub(started).Round(time.Millisecond))
	if len(r.stops) == 0 {
		d.Wake() // something may have waited for a place
	}
}
