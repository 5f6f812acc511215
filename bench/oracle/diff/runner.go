package diff

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// maxParallelReads is how many reads that follow one another run at once (D2).
const maxParallelReads = 16

// DefaultPatience is how long a side may take to deliver an event or an answer on a
// watch stream.
const DefaultPatience = 15 * time.Second

// State is what the source of operations may know of the run.
type State struct {
	// Now is the current revision, Compacted the compacted one (-1 before the
	// first compaction).
	Now, Compacted int64
}

// Source yields the operations of a run.
type Source interface {
	// Next returns the next operation, false at the end.
	Next(State) (Op, bool)
}

// Progress is where a run stands; it is safe to read while the run goes on.
type Progress struct {
	Ops, Revision, Watchers    atomic.Int64
	Events                     atomic.Int64 // compared watch events
	ReadsStale, ProgressSilent atomic.Int64
	LeasesExtended             atomic.Int64 // answers that show it
	Answers, Refusals          atomic.Int64 // of these Refusals are errors on both sides

	Splits, Merges, Moves, Transfers Tally

	mu       sync.Mutex
	slowest  Op
	slowStep int
	slowFor  time.Duration
}

// Slowest describes the operation that took longest, waiting included.
func (p *Progress) Slowest() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slowFor == 0 {
		return "none"
	}
	const longest = 200
	text := p.slowest.String()
	if len(text) > longest {
		text = text[:longest] + " ..."
	}
	return fmt.Sprintf("%s at step %d: %s", p.slowFor.Round(time.Millisecond), p.slowStep, text)
}

func (p *Progress) took(step int, o Op, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.Kind != KindExpire && d > p.slowFor {
		p.slowest, p.slowStep, p.slowFor = o, step, d
	}
}

// Runner runs one sequence against two targets.
type Runner struct {
	oracle, subject *side
	hist            *history
	progress        *Progress
	patience        time.Duration

	state    State
	step     int // index of the current operation
	watchers []*watcher
	floors   []int64 // by gateway of the subject: the highest revision it answered
	steering steering
	leases   leaseTerm
	leaders  map[string]*electionpb.LeaderKey // by election
}

// Run runs a source against fresh targets. It returns the first difference, or an
// error if the run itself could not go on. patience bounds every wait for something
// that a side must deliver, DefaultPatience if 0. executed is what was run, for Shrink.
func Run(ctx context.Context, oracle, subject Target, src Source, patience time.Duration, progress *Progress) (executed []Op, diff *Difference, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if patience == 0 {
		patience = DefaultPatience
	}
	r := &Runner{patience: patience, state: State{Now: 1, Compacted: -1}, progress: progress, steering: newSteering(), floors: make([]int64, len(subject.Endpoints)),
		leaders: map[string]*electionpb.LeaderKey{}}
	if r.oracle, err = dial(oracle); err != nil {
		return nil, nil, err
	}
	defer func() { _ = r.oracle.close() }() // nothing depends on how connections end
	if r.subject, err = dial(subject); err != nil {
		return nil, nil, err
	}
	defer func() { _ = r.subject.close() }()
	if r.hist, err = newHistory(ctx, r.oracle); err != nil {
		return nil, nil, err
	}
	defer r.hist.st.close()

	if err := r.learnLeaseTerm(ctx); err != nil {
		return nil, nil, err
	}
	executed, diff, err = r.loop(ctx, src)
	if err == nil && diff == nil {
		err = r.awaitSteering(ctx, 0)
	}
	return executed, diff, err
}

// loop gathers reads that follow one another into batches.
func (r *Runner) loop(ctx context.Context, src Source) (executed []Op, diff *Difference, err error) {
	var pending *Op
	for ctx.Err() == nil {
		var batch []Op
		for len(batch) < maxParallelReads {
			var o Op
			if pending != nil {
				o, pending = *pending, nil
			} else {
				var ok bool
				if o, ok = src.Next(r.state); !ok {
					break
				}
			}
			if len(batch) > 0 && !(o.readOnly() && batch[0].readOnly()) {
				pending = &o
				break
			}
			batch = append(batch, o)
			if !o.readOnly() {
				break
			}
		}
		if len(batch) == 0 {
			return executed, nil, nil
		}
		r.step = len(executed)
		executed = append(executed, batch...)
		began := time.Now()
		if batch[0].readOnly() {
			diff, err = r.reads(ctx, batch)
		} else {
			diff, err = r.one(ctx, batch[0])
		}
		r.progress.took(r.step, batch[0], time.Since(began))
		r.progress.Ops.Add(int64(len(batch)))
		r.progress.Revision.Store(r.state.Now)
		r.progress.Watchers.Store(int64(len(r.watchers)))
		if diff != nil || err != nil {
			return executed, diff, err
		}
	}
	return executed, nil, ctx.Err()
}

// one runs an operation that is not a read.
func (r *Runner) one(ctx context.Context, o Op) (*Difference, error) {
	req := resolve(o.Msg, r.state.Now, r.state.Compacted)
	r.nameLeader(req)
	if o.JSON {
		_, diff := r.both(ctx, o, req)
		return diff, nil
	}
	switch o.Kind {
	case KindCompact:
		return r.compact(ctx, o, req.(*pb.CompactionRequest))
	case KindGrant:
		_, diff := r.grant(ctx, o, req.(*pb.LeaseGrantRequest))
		return diff, nil
	case KindFlash:
		return r.flash(ctx, o, req.(*pb.LeaseGrantRequest)), nil
	case KindExpire:
		return r.expire(ctx, o, req.(*pb.LeaseGrantRequest))
	case KindOpen:
		return r.watchOpen(ctx, o)
	case KindClose:
		return r.watchClose(ctx, o)
	case KindWatch:
		return r.watch(ctx, o, req.(*pb.WatchRequest))
	case KindSplit, KindMerge, KindMove, KindTransfer:
		return nil, r.steer(ctx, o)
	case KindBarrier:
		return r.barrier(ctx, o)
	}
	oracle, diff := r.both(ctx, o, req)
	r.learnLeader(oracle)
	return diff, nil
}

// ask sends a request to both sides at once.
func (r *Runner) ask(ctx context.Context, o Op, req proto.Message) (oracle, subject answer) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		oracle = r.oracle.call(ctx, o, req)
	}()
	subject = r.subject.call(ctx, o, req)
	<-done
	return oracle, subject
}

// both sends a request to both sides, compares, and returns the oracle's answer.
func (r *Runner) both(ctx context.Context, o Op, req proto.Message) (answer, *Difference) {
	oracle, subject := r.ask(ctx, o, req)
	if t, ok := req.(*pb.TxnRequest); ok {
		sortTxnTies(t, oracle, subject)
		if !equalAnswers(oracle, subject) && onlySerializable(t) {
			oracle, subject = r.retryStale(ctx, o, t)
		}
	}
	if !equalAnswers(oracle, subject) {
		r.alignExtended(ctx, oracle, subject)
	}
	return oracle, r.judge(o, req, oracle, subject)
}

// judge compares two answers and notes the revision.
func (r *Runner) judge(o Op, req proto.Message, oracle, subject answer) *Difference {
	r.saw(o, oracle, subject)
	if equalAnswers(oracle, subject) {
		return nil
	}
	what := answersDiffer
	if subject.code == codes.Unavailable {
		// Nothing is stopped in a run, so this is a fault too, but another one.
		what = "the subject is not available"
	}
	return r.differ(o, req, what, oracle.String(), subject.String())
}

// saw notes the revisions of two answers.
func (r *Runner) saw(o Op, oracle, subject answer) {
	r.progress.Answers.Add(1)
	if !oracle.ok() {
		r.progress.Refusals.Add(1)
	}
	r.state.Now = max(r.state.Now, headerRevision(oracle))
	gateway := o.Gateway
	if st := r.subject.streams[o.N]; o.Kind == KindWatch && st != nil {
		gateway = st.gateway // where the stream was opened
	}
	gw := gateway % len(r.floors)
	r.floors[gw] = max(r.floors[gw], headerRevision(subject))
}

func (r *Runner) differ(o Op, req proto.Message, what, oracle, subject string) *Difference {
	resolved := ""
	if req != nil {
		resolved = brief(req)
	}
	return &Difference{Step: r.step, Op: o, Resolved: resolved, What: what, Oracle: oracle, Subject: subject}
}

// reads runs reads at the same time and compares each.
func (r *Runner) reads(ctx context.Context, batch []Op) (*Difference, error) {
	oracles, subjects := make([]answer, len(batch)), make([]answer, len(batch))
	reqs := make([]*pb.RangeRequest, len(batch))
	var wg sync.WaitGroup
	for i, o := range batch {
		reqs[i] = resolve(o.Msg, r.state.Now, r.state.Compacted).(*pb.RangeRequest)
		wg.Go(func() { oracles[i], subjects[i] = r.ask(ctx, o, reqs[i]) })
	}
	wg.Wait()
	floors := append([]int64(nil), r.floors...)
	first := r.step
	defer func() { r.step = first }()
	for i, o := range batch {
		r.step = first + i
		if equalAnswers(oracles[i], subjects[i]) {
			r.saw(o, oracles[i], subjects[i])
			continue
		}
		diff, err := r.readDiffers(ctx, o, reqs[i], oracles[i], subjects[i], floors)
		if diff != nil || err != nil {
			return diff, err
		}
	}
	return nil, nil
}

// readDiffers decides whether two unequal answers to a read are a difference: a
// serializable read may be stale, and the order of ties of a sort is open.
func (r *Runner) readDiffers(ctx context.Context, o Op, req *pb.RangeRequest, oracle, subject answer, floors []int64) (*Difference, error) {
	if req.Serializable {
		return r.staleRead(ctx, o, req, subject, floors)
	}
	same, err := r.equalButTies(ctx, req, oracle, subject)
	if same || err != nil {
		r.saw(o, oracle, subject)
		return nil, err
	}
	return r.judge(o, req, oracle, subject), nil
}

func (r *Runner) compact(ctx context.Context, o Op, req *pb.CompactionRequest) (*Difference, error) {
	// What a watcher gets that lags while the store is compacted (events, their
	// prev_kv, or a cancellation) is a matter of time on both sides.
	if diff, err := r.drain(ctx, o); diff != nil || err != nil {
		return diff, err
	}
	if diff, err := r.settle(ctx, o); diff != nil || err != nil {
		return diff, err
	}
	for r.hist.changesKeyTwice(req.Revision) {
		req.Revision-- // D5
	}
	oracle, diff := r.both(ctx, o, req)
	if oracle.ok() {
		r.state.Compacted = req.Revision
	}
	return diff, nil
}

// barrier compares the watchers and everything stored.
func (r *Runner) barrier(ctx context.Context, o Op) (*Difference, error) {
	if diff, err := r.drain(ctx, o); diff != nil || err != nil {
		return diff, err
	}
	all := Op{Kind: KindRange, Gateway: o.Gateway, As: o.As, Msg: &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}}
	if _, diff := r.both(ctx, all, all.Msg); diff != nil {
		return diff, nil
	}
	leases := Op{Kind: KindLeases, Gateway: o.Gateway, As: o.As, Msg: &pb.LeaseLeasesRequest{}}
	_, diff := r.both(ctx, leases, leases.Msg)
	return diff, nil
}
