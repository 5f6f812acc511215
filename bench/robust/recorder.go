package robust

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// recorder collects the history of one round. Times count from its start.
type recorder struct {
	start time.Time

	mu      sync.Mutex
	history []verify.Operation
	leases  []verify.Lease
	refused map[string]int // by error
	failed  int            // reads without an answer
	lastOK  time.Duration  // last answer of anyone
	stall   time.Duration  // longest time without an answer
}

func newRecorder() *recorder { return &recorder{start: time.Now(), refused: map[string]int{}} }

func (r *recorder) now() time.Duration { return time.Since(r.start) }

// do sends a request and records what came of it. The answer is returned for
// the client to learn from.
func (r *recorder) do(ctx context.Context, kv clientv3.KV, client int, req verify.Request) (verify.Response, error) {
	o := verify.Operation{Client: client, Request: req, Call: r.now()}
	resp, err := send(ctx, kv, req)
	o.Return, o.Response = r.now(), resp
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		o.Outcome = verify.Done
		r.stall = max(r.stall, o.Return-r.lastOK)
		r.lastOK = o.Return
	case refusal(err):
		r.refused[err.Error()]++
		return resp, err
	case readOnly(req):
		r.failed++
		return resp, err
	default:
		o.Outcome, o.Error = verify.Unknown, err.Error()
	}
	r.history = append(r.history, o)
	return resp, err
}

// lease changes the record of one lease under the recorder's lock.
func (r *recorder) lease(i int, change func(*verify.Lease)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.leases[i])
}

func (r *recorder) addLease(l verify.Lease) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leases = append(r.leases, l)
	return len(r.leases) - 1
}

func readOnly(req verify.Request) bool {
	for _, ops := range [][]verify.Op{req.Then, req.Else} {
		for _, op := range ops {
			if op.Kind != verify.OpGet {
				return false
			}
		}
	}
	return true
}

// refusal says whether an error promises that nothing was done (I3).
func refusal(err error) bool {
	code := status.Code(err)
	if etcd := (rpctypes.EtcdError{}); errors.As(err, &etcd) {
		code = etcd.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange,
		codes.ResourceExhausted, codes.PermissionDenied, codes.Unimplemented:
		return true
	}
	return false
}

func send(ctx context.Context, kv clientv3.KV, req verify.Request) (verify.Response, error) {
	if len(req.If) == 0 && len(req.Else) == 0 && len(req.Then) == 1 {
		return sendPlain(ctx, kv, req.Then[0])
	}
	txn := kv.Txn(ctx)
	if len(req.If) > 0 {
		txn = txn.If(compares(req.If)...)
	}
	resp, err := txn.Then(ops(req.Then)...).Else(ops(req.Else)...).Commit()
	if err != nil {
		return verify.Response{}, err
	}
	out := verify.Response{Rev: verify.Revision(resp.Header.Revision), Succeeded: resp.Succeeded}
	for _, r := range resp.Responses {
		switch {
		case r.GetResponseRange() != nil:
			out.Results = append(out.Results, ReadResult((*clientv3.GetResponse)(r.GetResponseRange())))
		case r.GetResponseDeleteRange() != nil:
			out.Results = append(out.Results, verify.Result{Deleted: r.GetResponseDeleteRange().Deleted})
		default:
			out.Results = append(out.Results, verify.Result{})
		}
	}
	return out, nil
}

func sendPlain(ctx context.Context, kv clientv3.KV, op verify.Op) (verify.Response, error) {
	out := verify.Response{Succeeded: true, Results: make([]verify.Result, 1)}
	switch op.Kind {
	case verify.OpGet:
		resp, err := kv.Get(ctx, op.Key, getOptions(op)...)
		if err != nil {
			return verify.Response{}, err
		}
		out.Rev, out.Results[0] = verify.Revision(resp.Header.Revision), ReadResult(resp)
	case verify.OpPut:
		resp, err := kv.Put(ctx, op.Key, op.Value, clientv3.WithLease(clientv3.LeaseID(op.Lease)))
		if err != nil {
			return verify.Response{}, err
		}
		out.Rev = verify.Revision(resp.Header.Revision)
	case verify.OpDelete:
		resp, err := kv.Delete(ctx, op.Key, spanOption(op)...)
		if err != nil {
			return verify.Response{}, err
		}
		out.Rev, out.Results[0].Deleted = verify.Revision(resp.Header.Revision), resp.Deleted
	}
	return out, nil
}

func spanOption(op verify.Op) []clientv3.OpOption {
	if op.End == "" {
		return nil
	}
	return []clientv3.OpOption{clientv3.WithRange(op.End)}
}

func getOptions(op verify.Op) []clientv3.OpOption {
	return append(spanOption(op), clientv3.WithLimit(op.Limit), clientv3.WithRev(int64(op.At)))
}

func ops(in []verify.Op) []clientv3.Op {
	out := make([]clientv3.Op, 0, len(in))
	for _, op := range in {
		switch op.Kind {
		case verify.OpGet:
			out = append(out, clientv3.OpGet(op.Key, getOptions(op)...))
		case verify.OpPut:
			out = append(out, clientv3.OpPut(op.Key, op.Value, clientv3.WithLease(clientv3.LeaseID(op.Lease))))
		case verify.OpDelete:
			out = append(out, clientv3.OpDelete(op.Key, spanOption(op)...))
		}
	}
	return out
}

func compares(in []verify.Compare) []clientv3.Cmp {
	out := make([]clientv3.Cmp, 0, len(in))
	for _, c := range in {
		result := c.Result
		if result == "!" {
			result = "!="
		}
		switch c.Target {
		case verify.TargetMod:
			out = append(out, clientv3.Compare(clientv3.ModRevision(c.Key), result, c.Number))
		case verify.TargetCreate:
			out = append(out, clientv3.Compare(clientv3.CreateRevision(c.Key), result, c.Number))
		case verify.TargetVersion:
			out = append(out, clientv3.Compare(clientv3.Version(c.Key), result, c.Number))
		case verify.TargetValue:
			out = append(out, clientv3.Compare(clientv3.Value(c.Key), result, c.Value))
		}
	}
	return out
}

// ReadResult is what a read answered as histories have it.
func ReadResult(resp *clientv3.GetResponse) verify.Result {
	r := verify.Result{Count: resp.Count}
	for _, kv := range resp.Kvs {
		r.KVs = append(r.KVs, toKV(kv))
	}
	return r
}

func toKV(kv *mvccpb.KeyValue) verify.KV {
	return verify.KV{
		Key: string(kv.Key), Value: string(kv.Value), Create: verify.Revision(kv.CreateRevision),
		Mod: verify.Revision(kv.ModRevision), Version: kv.Version, Lease: kv.Lease,
	}
}
