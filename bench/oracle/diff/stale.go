package diff

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const (
	// staleFor is how long a serializable read may lag.
	staleFor = 5 * time.Second
	// staleRetry is how often it is asked again.
	staleRetry = 20 * time.Millisecond
)

// staleRead judges a serializable read whose answer is not the oracle's. Such a read
// may be older than the oracle's answer, on etcd as well, but (P28)
//   - it must be what the oracle says at the revision in its header,
//   - that revision must not be below one that the gateway has answered already,
//   - asked again it must soon be current.
func (r *Runner) staleRead(ctx context.Context, o Op, req *pb.RangeRequest, subject answer, floors []int64) (*Difference, error) {
	deadline := time.Now().Add(staleFor)
	tick := time.NewTicker(staleRetry)
	defer tick.Stop()
	r.progress.ReadsStale.Add(1)
	for {
		oracle := r.oracle.call(ctx, o, req)
		if same, err := r.equalButTies(ctx, req, oracle, subject); same || err != nil {
			r.saw(o, oracle, subject)
			return nil, err
		}
		if diff, err := r.checkStale(ctx, o, req, oracle, subject, floors[o.Gateway%len(floors)]); diff != nil || err != nil {
			return diff, err
		}
		if time.Now().After(deadline) {
			what := fmt.Sprintf("a serializable read is not current after %s", staleFor)
			return r.differ(o, req, what, oracle.String(), subject.String()), nil
		}
		<-tick.C
		subject = r.subject.call(ctx, o, req)
	}
}

// checkStale checks one stale answer against the oracle at the same revision.
func (r *Runner) checkStale(ctx context.Context, o Op, req *pb.RangeRequest, oracle, subject answer, floor int64) (*Difference, error) {
	at := headerRevision(subject)
	switch {
	case !subject.ok():
		// It may not know yet the revision asked for, or its compaction.
		if subject.code != codes.OutOfRange {
			return r.differ(o, req, "a serializable read fails", oracle.String(), subject.String()), nil
		}
		return nil, nil
	case at > r.state.Now:
		return r.differ(o, req, "header.revision is in the future", oracle.String(), subject.String()), nil
	case at < floor:
		what := fmt.Sprintf("a serializable read at %d, below %d, which the gateway has answered before", at, floor)
		return r.differ(o, req, what, oracle.String(), subject.String()), nil
	case req.Revision > r.state.Now:
		return r.differ(o, req, "a read of the future is answered", oracle.String(), subject.String()), nil
	case req.Revision > 0 || at < r.state.Compacted:
		return nil, nil // nothing to compare with; it must become current
	}
	then := proto.Clone(req).(*pb.RangeRequest)
	then.Revision = at
	before := r.oracle.call(ctx, o, then)
	if before.ok() {
		before.msg.(*pb.RangeResponse).Header.Revision = at // it is the current one otherwise
	}
	same, err := r.equalButTies(ctx, then, before, subject)
	if same || err != nil {
		return nil, err
	}
	return r.differ(o, then, "a stale read is not what was stored at its revision", before.String(), subject.String()), nil
}

// onlySerializable reports whether a txn is one that etcd answers from a member's own
// state: nothing but serializable ranges.
func onlySerializable(t *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{t.Success, t.Failure} {
		for _, op := range ops {
			if rr := op.GetRequestRange(); rr == nil || !rr.Serializable {
				return false
			}
		}
	}
	return true
}

// retryStale asks both sides again until they agree or staleFor has passed.
func (r *Runner) retryStale(ctx context.Context, o Op, req *pb.TxnRequest) (oracle, subject answer) {
	deadline := time.Now().Add(staleFor)
	tick := time.NewTicker(staleRetry)
	defer tick.Stop()
	for {
		oracle, subject = r.ask(ctx, o, req)
		sortTxnTies(req, oracle, subject)
		if equalAnswers(oracle, subject) || time.Now().After(deadline) {
			return oracle, subject
		}
		<-tick.C
	}
}
