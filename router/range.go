package router

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Range implements etcdserverpb.KVServer.
func (kv *KV) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := etcdop.CheckRange(r); err != nil {
		return nil, err
	}
	bounded, cancel := kv.bounded(ctx)
	defer cancel()
	var resp *pb.RangeResponse
	read := func(ctx context.Context, at Read, local bool) (err error) {
		kv.answers.Restart(ctx)
		resp, err = kv.rangeAt(ctx, r, at, local)
		return err
	}
	var err error
	if r.Serializable {
		err = kv.serializable(bounded, []proto.Span{keys.UserRangeSpan(r.Key, r.RangeEnd)}, r.Revision, read)
	} else {
		err = kv.linearizable(bounded, read)
	}
	if err != nil {
		return nil, clientError(ctx, err)
	}
	kv.fill(resp.Header, proto.Revision(resp.Header.Revision))
	return resp, nil
}

// linearizable runs read at a read revision taken now, and again at a new one
// if a range is compacted beyond it meanwhile (P41).
func (kv *KV) linearizable(ctx context.Context, read func(context.Context, Read, bool) error) error {
	for {
		at, err := kv.sequencer.ReadRevision(ctx)
		if err != nil {
			return err
		}
		err = read(ctx, at, false)
		if !proto.HasCode(err, pontoonpb.RangeErrorCode_BELOW_FLOOR) || ctx.Err() != nil {
			return err
		}
	}
}

// rangeAt answers a range request at a read point. The header says the read
// point even if the client named an older revision.
func (kv *KV) rangeAt(ctx context.Context, r *pb.RangeRequest, at Read, local bool) (*pb.RangeResponse, error) {
	p := point{read: at.Revision, named: max(r.Revision, 0), local: local}
	if err := readable(p, at); err != nil {
		return nil, err
	}
	count, known := kv.pages.count(r, p.at())
	got, err := kv.gather(ctx, r, p, known)
	switch {
	case p.named > 0 && proto.HasCode(err, pontoonpb.RangeErrorCode_BELOW_FLOOR):
		return nil, rpctypes.ErrGRPCCompacted // the client named the revision (P41)
	case err != nil:
		return nil, err
	}
	if !known {
		count = got.count
	}
	resp := etcdop.Assemble(r, got.kvs, count, int64(at.Revision))
	resp.More = resp.More || got.more && len(resp.Kvs) > 0
	kv.pages.remember(r, p.at(), resp)
	return resp, nil
}

// readable checks a revision that the client named.
func readable(p point, at Read) error {
	switch {
	case p.named == 0:
		return nil
	case p.named > int64(at.Revision):
		return rpctypes.ErrGRPCFutureRev
	case p.named < int64(at.Floor):
		return rpctypes.ErrGRPCCompacted
	}
	return nil
}

const (
	// catchUp is how long a serializable read waits for the replicas of this
	// node to reach what this gateway answered before.
	catchUp = 100 * time.Millisecond
	// askQuorum is how long it then asks the leaders, before it concludes that
	// no quorum is reachable and answers what is here. Longer than an election,
	// and than a busy machine holds a request up.
	askQuorum = 3 * time.Second
	// rememberLost is how long no quorum is asked after that.
	rememberLost = 2 * time.Second
	pollClose    = 2 * time.Millisecond
)

// serializable runs read over the replicas of this node at the minimum of
// their closed revisions. It does not go below what this gateway answered, nor
// below a revision that the client named, while a quorum is reachable (P28).
func (kv *KV) serializable(
	ctx context.Context, spans []proto.Span, named int64, read func(context.Context, Read, bool) error,
) error {
	answered, lost := kv.answered.Load(), kv.quorumLost()
	want, wait := max(named, answered), catchUp
	if lost || named > answered { // nobody knows here whether what is named exists
		wait = 0
	}
	cut, covered := kv.localCut(ctx, spans, want, wait)
	here := func() error { return read(ctx, Read{Revision: cut, Floor: proto.NeverCompacted}, true) }
	if covered && (int64(cut) >= want || lost) {
		if err := here(); err == nil || isAnswer(err) {
			kv.sender.metrics.local.Inc()
			return err
		}
	}
	quorum, cancel := context.WithTimeout(ctx, askQuorum)
	defer cancel()
	err := kv.linearizable(quorum, read)
	if err == nil || isAnswer(err) || !covered || ctx.Err() != nil {
		return err
	}
	kv.lostAt.Store(time.Now().UnixNano())
	return here()
}

// quorumLost reports whether asking the leaders failed a moment ago, so that
// not every serializable read finds out by itself.
func (kv *KV) quorumLost() bool {
	at := kv.lostAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < rememberLost
}

// localCut waits up to wait for the local replicas to close at want.
func (kv *KV) localCut(ctx context.Context, spans []proto.Span, want int64, wait time.Duration) (cut proto.Revision, covered bool) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for pushed := wait == 0; ; {
		if cut, covered = kv.closed(spans); !covered || int64(cut) >= want {
			return cut, covered
		}
		// Only what was answered is pushed: a revision that a client names need
		// not exist, and closing there would refuse every number below it (P8).
		if answered := kv.Answered(); !pushed && cut < answered {
			kv.replicas.PushClosed(answered)
			pushed = true
		}
		timer := time.NewTimer(pollClose)
		select {
		case <-ctx.Done():
			timer.Stop()
			return cut, covered
		case <-timer.C:
		}
	}
}

func (kv *KV) closed(spans []proto.Span) (proto.Revision, bool) {
	cut := proto.Revision(-1)
	for _, s := range spans {
		if s.Empty() {
			continue
		}
		c, ok := kv.replicas.Closed(s)
		if !ok || c < proto.FirstRevision {
			return 0, false
		}
		if cut < 0 || c < cut {
			cut = c
		}
	}
	return max(cut, 0), cut > 0
}

// isAnswer reports whether the error is an answer rather than a failure to get
// one.
func isAnswer(err error) bool {
	return proto.HasCode(err, pontoonpb.RangeErrorCode_ETCD) ||
		err == rpctypes.ErrGRPCFutureRev || err == rpctypes.ErrGRPCCompacted || err == errWrites
}
