package router

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// errWrites says that the chosen branch of a txn writes.
var errWrites = errors.New("router: the chosen branch writes")

// readTxn answers a txn that only reads, all of it at one revision.
func (kv *KV) readTxn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	ctx, cancel := kv.bounded(ctx)
	defer cancel()
	op := &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}
	var resp *pb.TxnResponse
	read := func(ctx context.Context, at Read, local bool) (err error) {
		resp, _, err = kv.txnAt(ctx, op, at, local)
		return err
	}
	if !etcdop.Serializable(r) {
		return resp, kv.linearizable(ctx, read)
	}
	var spans []proto.Span
	var named int64
	for _, a := range etcdop.Footprint(op) {
		spans, named = append(spans, a.Span), max(named, a.Rev)
	}
	err := kv.serializable(ctx, spans, named, read)
	return resp, err
}

// TryRead implements txn.Reader.
func (kv *KV) TryRead(ctx context.Context, op *pb.RequestOp) (*pb.ResponseOp, etcdop.Path, error) {
	compares := collectCompares(nil, op.GetRequestTxn())
	if len(compares) == 0 {
		path, err := etcdop.ChoosePath(compareView{}, op.GetRequestTxn())
		if err != nil || etcdop.Writes(op, path) {
			return nil, path, err
		}
	}
	var resp *pb.TxnResponse
	var path etcdop.Path
	err := kv.linearizable(ctx, func(ctx context.Context, at Read, local bool) (err error) {
		resp, path, err = kv.txnAt(ctx, op, at, local)
		return err
	})
	switch {
	case err == errWrites:
		return nil, path, nil
	case err != nil:
		return nil, nil, err
	}
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: resp}}, path, nil
}

// txnAt evaluates a txn at a read point: first the compares of all levels,
// then the ranges of the chosen path. errWrites comes with the path.
func (kv *KV) txnAt(ctx context.Context, op *pb.RequestOp, at Read, local bool) (*pb.TxnResponse, etcdop.Path, error) {
	view, err := kv.readCompares(ctx, collectCompares(nil, op.GetRequestTxn()), at, local)
	if err != nil {
		return nil, nil, err
	}
	path, err := etcdop.ChoosePath(view, op.GetRequestTxn())
	if err != nil {
		return nil, nil, err
	}
	if etcdop.Writes(op, path) {
		return nil, path, errWrites
	}
	t := readPath{kv: kv, at: at, local: local, path: path}
	resp, err := t.lay(op.GetRequestTxn())
	if err != nil {
		return nil, path, err
	}
	if err := t.fetch(ctx); err != nil {
		return nil, path, err
	}
	resp.Header.Revision = int64(at.Revision) // only the outermost txn has one
	return resp, path, nil
}

// readPath lays out the responses of a path, then fetches all its ranges.
type readPath struct {
	kv    *KV
	at    Read
	local bool
	path  etcdop.Path // not laid out yet
	asks  []*pb.RangeRequest
	slots []*pb.ResponseOp_ResponseRange // of asks
}

func (t *readPath) lay(r *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp := &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: t.path[0]}
	ops := r.Failure
	if t.path[0] {
		ops = r.Success
	}
	t.path = t.path[1:]
	for _, op := range ops {
		out := &pb.ResponseOp{}
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			if err := t.check(o.RequestRange.Revision); err != nil {
				return nil, err
			}
			slot := &pb.ResponseOp_ResponseRange{}
			t.asks, t.slots = append(t.asks, o.RequestRange), append(t.slots, slot)
			out.Response = slot
		case *pb.RequestOp_RequestTxn:
			nested, err := t.lay(o.RequestTxn)
			if err != nil {
				return nil, err
			}
			out.Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: nested}
		default: // a delete of an inverted range deletes nothing
			out.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{
				Header: &pb.ResponseHeader{Revision: int64(t.at.Revision)},
			}}
		}
		resp.Responses = append(resp.Responses, out)
	}
	return resp, nil
}

// check: inside a txn a negative revision is compared with the floor like any.
func (t *readPath) check(rev int64) error {
	switch {
	case rev > int64(t.at.Revision):
		return rpctypes.ErrGRPCFutureRev
	case rev != 0 && rev < int64(t.at.Floor):
		return rpctypes.ErrGRPCCompacted
	}
	return nil
}

func (t *readPath) fetch(ctx context.Context) error {
	return inParallel(ctx, len(t.asks), func(ctx context.Context, i int) (err error) {
		t.slots[i].ResponseRange, err = t.kv.rangeAt(ctx, t.asks[i], t.at, t.local)
		return err
	})
}

// inParallel runs fn for 0..n-1 and returns the first error by time, after all
// have ended.
func inParallel(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	if n == 1 {
		return fn(ctx, 0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var once sync.Once
	var failed error
	for i := range n {
		all.Go(func() {
			if err := fn(ctx, i); err != nil {
				once.Do(func() {
					failed = err
					cancel(err)
				})
			}
		})
	}
	all.Wait()
	return failed
}

// collectCompares lists the compares of a txn and all txns nested in it.
func collectCompares(out []*pb.Compare, r *pb.TxnRequest) []*pb.Compare {
	out = append(out, r.GetCompare()...)
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range ops {
			if t := op.GetRequestTxn(); t != nil {
				out = collectCompares(out, t)
			}
		}
	}
	return out
}

// compareView is an etcdop.View that knows exactly the ranges of a txn's
// compares, at one revision.
type compareView struct {
	ranges map[spanKey][]*mvccpb.KeyValue
	seen   int64
}

func (kv *KV) readCompares(ctx context.Context, compares []*pb.Compare, at Read, local bool) (compareView, error) {
	v := compareView{ranges: make(map[spanKey][]*mvccpb.KeyValue), seen: int64(at.Revision)}
	var asks []*pb.RangeRequest
	for _, c := range compares {
		if id := spanID(c.Key, c.RangeEnd); v.ranges[id] == nil {
			v.ranges[id] = []*mvccpb.KeyValue{}
			asks = append(asks, &pb.RangeRequest{Key: c.Key, RangeEnd: c.RangeEnd})
		}
	}
	got := make([]*parts, len(asks))
	err := inParallel(ctx, len(asks), func(ctx context.Context, i int) (err error) {
		got[i], err = kv.gather(ctx, asks[i], point{read: at.Revision, local: local}, true)
		return err
	})
	if err != nil {
		return v, err
	}
	for i, ask := range asks {
		v.ranges[spanID(ask.Key, ask.RangeEnd)] = got[i].kvs
	}
	return v, nil
}

// spanKey is a span as a map key.
type spanKey struct{ start, end string }

func spanID(key, end []byte) spanKey {
	s := keys.UserRangeSpan(key, end)
	return spanKey{string(s.Start), string(s.End)}
}

func (v compareView) Scan(key, end []byte, _ int64, fn func(*mvccpb.KeyValue) bool) error {
	for _, kv := range v.ranges[spanID(key, end)] {
		if !fn(kv) {
			break
		}
	}
	return nil
}

func (v compareView) Get(key []byte) (*mvccpb.KeyValue, error) {
	for _, kv := range v.ranges[spanID(key, nil)] {
		return kv, nil
	}
	return nil, nil
}

func (v compareView) Count(key, end []byte, _ int64) (int64, error) {
	return int64(len(v.ranges[spanID(key, end)])), nil
}

func (v compareView) LeaseUsable(proto.LeaseID, []byte) etcdop.LeaseState { return etcdop.LeaseUnknown }
func (v compareView) Floor() int64                                        { return int64(proto.NeverCompacted) }
func (v compareView) Seen() int64                                         { return v.seen }
