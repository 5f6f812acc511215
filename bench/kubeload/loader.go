package kubeload

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/dial"
)

// Loader is a load in progress. Its phases are called one after the other:
// Load, any number of Churn, Verify.
type Loader struct {
	opts    Options
	clients []*clientv3.Client
	book    *book
	tally   *tally
	text    []byte
	serial  atomic.Uint64
	lease   clientv3.LeaseID // of objects that expire

	informers []*informer
	stop      context.CancelFunc // ends informers
	running   sync.WaitGroup
}

// New connects a load. Close releases it.
func New(o Options) (*Loader, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	l := &Loader{
		opts: o, book: newBook(), tally: newTally(),
		text: fillerText(rand.New(rand.NewPCG(o.Seed, 0)), 256<<10),
	}
	l.tally.report.Seed = o.Seed
	for range o.Connections {
		c, err := dial.Open(dial.Options{Endpoints: o.Endpoints})
		if err != nil {
			l.Close()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

// Close ends informers and connections.
func (l *Loader) Close() {
	if l.stop != nil {
		l.stop()
	}
	l.running.Wait()
	for _, c := range l.clients {
		_ = c.Close()
	}
}

// Report returns what was done and found so far.
func (l *Loader) Report() *Report {
	r := l.tally.snapshot()
	r.Objects = len(l.book.all())
	return r
}

func (l *Loader) client(i int) *clientv3.Client { return l.clients[i%len(l.clients)] }

func (l *Loader) rng(phase, i int) *rand.Rand {
	return rand.New(rand.NewPCG(l.opts.Seed, uint64(phase)<<32|uint64(i)))
}

// Load creates all objects. The keyspace must not hold them yet.
func (l *Loader) Load(ctx context.Context) error {
	defer l.tally.enter("1 load")()
	if err := l.grant(ctx); err != nil {
		return err
	}
	plan := make(chan *object, l.opts.Clients)
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range l.opts.Clients {
		w := l.worker(1, i)
		wg.Go(func() {
			for o := range plan {
				w.create(ctx, o)
				done.Add(1)
			}
		})
	}
	// One source decides the objects, so that a seed gives the same keys
	// whatever the number of clients.
	rng := l.rng(0, 0)
	for i := range l.opts.Objects {
		if ctx.Err() != nil {
			break
		}
		plan <- l.book.add(l.opts.Prefix, pickResource(rng, func(r *resource) int { return r.share }))
		if i%100 == 0 {
			l.opts.Progress("load", int(done.Load()), l.opts.Objects)
		}
	}
	close(plan)
	wg.Wait()
	l.opts.Progress("load", int(done.Load()), l.opts.Objects)
	return ctx.Err()
}

// grant gets the lease of the objects that expire: Kubernetes uses one lease for
// many events.
func (l *Loader) grant(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.RequestTimeout)
	defer cancel()
	resp, err := l.client(0).Grant(ctx, 3600)
	if err != nil {
		return fmt.Errorf("load: grant a lease: %w", err)
	}
	l.lease = resp.ID
	return nil
}

// Churn changes, reads and lists objects for a time, as a running cluster does.
func (l *Loader) Churn(ctx context.Context, length time.Duration) error {
	defer l.tally.enter(churnPhase)()
	churning, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var wg sync.WaitGroup
	l.churn(ctx, churning, &wg)
	l.showTime(churning, "churn", length)
	wg.Wait()
	return ctx.Err()
}

// ChurnUntil changes, reads and lists objects until ctx ends. Requests under way
// are finished then, not cut.
func (l *Loader) ChurnUntil(ctx context.Context) {
	defer l.tally.enter(churnPhase)()
	var wg sync.WaitGroup
	l.churn(context.WithoutCancel(ctx), ctx, &wg)
	wg.Wait()
}

// churn starts the clients; they begin nothing new once churning ends.
func (l *Loader) churn(ctx, churning context.Context, wg *sync.WaitGroup) {
	var pause time.Duration
	if l.opts.Rate > 0 {
		pause = time.Duration(float64(l.opts.Clients) / l.opts.Rate * float64(time.Second))
	}
	for i := range l.opts.Clients {
		w := l.worker(2, i)
		wg.Go(func() {
			next := time.Now()
			for churning.Err() == nil {
				w.step(ctx) // not cut at the end of the phase
				next = next.Add(pause)
				if pause > 0 {
					sleep(churning, time.Until(next))
				}
			}
		})
	}
}

// SetEndpoints tells the clients which nodes there are now.
func (l *Loader) SetEndpoints(endpoints []string) {
	for _, c := range l.clients {
		c.SetEndpoints(endpoints...)
	}
}

// showTime reports progress in tenths of seconds until ctx ends.
func (l *Loader) showTime(ctx context.Context, phase string, length time.Duration) {
	began := time.Now()
	total := int(length / (100 * time.Millisecond))
	for ctx.Err() == nil {
		l.opts.Progress(phase, min(total, int(time.Since(began)/(100*time.Millisecond))), total)
		sleep(ctx, 200*time.Millisecond)
	}
	l.opts.Progress(phase, total, total)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Run does a whole load: create, watch, churn, verify. The error names the
// first violation, if any; the report is complete either way.
func Run(ctx context.Context, _ io.Writer, o Options) (*Report, error) {
	l, err := New(o)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := l.Load(ctx); err != nil {
		return l.Report(), err
	}
	if err := l.Watch(ctx); err != nil {
		return l.Report(), err
	}
	if l.opts.Churn > 0 {
		if err := l.Churn(ctx, l.opts.Churn); err != nil {
			return l.Report(), err
		}
	}
	if err := l.Verify(ctx); err != nil {
		return l.Report(), err
	}
	r := l.Report()
	return r, r.Err()
}
