package etcdop

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Result is the outcome of an operation. Response and Effects belong to the
// caller, except that key-values in Response may be the view's (I2).
type Result struct {
	Response *pb.ResponseOp
	Effects  []*pontoonpb.Effect // keys are internal keys
	Mutates  bool                // takes a revision
	Revision int64               // for the client's header; the number before rev if nothing changed

	late []lateRange
}

// Eval evaluates one operation, statically checked before, over a view. rev is
// the revision it gets if it changes anything, a number or a placeholder; the
// state before it is at rev-1. Errors are etcd's (rpctypes), *NeedLease,
// *NeedSeen, ErrUndecided or the view's, and leave no trace (I1).
func Eval(v View, rev int64, op *pb.RequestOp) (*Result, error) {
	e := &evaluation{own: newOverlay(v), rev: rev}
	// A single operation is a txn of one: same validation, same execution.
	ops, path := []*pb.RequestOp{op}, Path(nil)
	if t := op.GetRequestTxn(); t != nil {
		var err error
		if path, err = ChoosePath(v, t); err != nil {
			return nil, err
		}
	}
	// Outside of a txn a negative revision means the latest; inside it is
	// compared with the floor like any other.
	if r := op.GetRequestRange(); r == nil || r.Revision > 0 {
		if _, err := e.validate(ops, path); err != nil {
			return nil, err
		}
	}
	responses, _, err := e.run(ops, path)
	if err != nil {
		return nil, err
	}
	r := &Result{Response: responses[0], Effects: e.effects, Mutates: len(e.effects) > 0, Revision: e.current(), late: e.late}
	if t := r.Response.GetResponseTxn(); t != nil {
		t.Header.Revision = r.Revision // only the outermost txn has one
	}
	return r, nil
}

// evaluation is one run of Eval.
type evaluation struct {
	own     *overlay // state with the changes so far
	rev     int64
	effects []*pontoonpb.Effect
	late    []lateRange
}

// current is the revision of the state that the next operation sees.
func (e *evaluation) current() int64 {
	if len(e.effects) > 0 {
		return e.rev
	}
	return e.rev - 1
}

// validate refuses the whole operation for anything that would fail on the
// chosen path, over the state before it. It returns the unused rest of path.
func (e *evaluation) validate(ops []*pb.RequestOp, path Path) (Path, error) {
	for _, op := range ops {
		var err error
		switch r := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			err = e.validateRange(r.RequestRange)
		case *pb.RequestOp_RequestPut:
			err = e.validatePut(r.RequestPut)
		case *pb.RequestOp_RequestTxn:
			path, err = e.validate(branch(r.RequestTxn, path[0]), path[1:])
		}
		if err != nil {
			return nil, err
		}
	}
	return path, nil
}

func (e *evaluation) validateRange(r *pb.RangeRequest) error {
	switch before := e.rev - 1; {
	case r.Revision == 0:
		return nil
	case !IsPlaceholder(e.rev) && r.Revision > before:
		return rpctypes.ErrGRPCFutureRev
	case IsPlaceholder(e.rev) && r.Revision > e.own.base.Seen():
		return &NeedSeen{Rev: r.Revision}
	case r.Revision < e.own.base.Floor():
		return rpctypes.ErrGRPCCompacted
	}
	return nil
}

func (e *evaluation) validatePut(r *pb.PutRequest) error {
	if r.Lease != 0 {
		switch lease := proto.LeaseID(r.Lease); e.own.base.LeaseUsable(lease, r.Key) {
		case LeaseUnknown:
			return &NeedLease{Lease: lease, Key: r.Key}
		case LeaseNo:
			return rpctypes.ErrGRPCLeaseNotFound
		}
	}
	if r.IgnoreValue || r.IgnoreLease {
		kv, err := e.own.base.Get(r.Key)
		if err != nil {
			return err
		}
		if kv == nil {
			return rpctypes.ErrGRPCKeyNotFound
		}
	}
	return nil
}

// run executes operations in order; each sees the changes of those before it.
func (e *evaluation) run(ops []*pb.RequestOp, path Path) ([]*pb.ResponseOp, Path, error) {
	out := make([]*pb.ResponseOp, len(ops))
	for i, op := range ops {
		var err error
		switch r := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			var resp *pb.RangeResponse
			resp, err = e.readRange(r.RequestRange)
			out[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: resp}}
		case *pb.RequestOp_RequestPut:
			var resp *pb.PutResponse
			resp, err = e.put(r.RequestPut)
			out[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: resp}}
		case *pb.RequestOp_RequestDeleteRange:
			var resp *pb.DeleteRangeResponse
			resp, err = e.deleteRange(r.RequestDeleteRange)
			out[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: resp}}
		case *pb.RequestOp_RequestTxn:
			resp := &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: path[0]}
			resp.Responses, path, err = e.run(branch(r.RequestTxn, path[0]), path[1:])
			out[i] = &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: resp}}
		default:
			err = rpctypes.ErrGRPCKeyNotFound
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return out, path, nil
}

func (e *evaluation) readRange(r *pb.RangeRequest) (*pb.RangeResponse, error) {
	rev := max(r.Revision, 0)
	if rev == 0 && e.unsettled(r) {
		return e.readLate(r)
	}
	all, err := Part(e.own, r, rev, true, 0)
	if err != nil {
		return nil, err
	}
	return Assemble(r, all.Kvs, all.Count, e.current()), nil
}

// unsettled reports whether revision filters may depend on a number that is
// not granted yet.
func (e *evaluation) unsettled(r *pb.RangeRequest) bool {
	return IsPlaceholder(e.rev) &&
		max(r.MinModRevision, r.MaxModRevision, r.MinCreateRevision, r.MaxCreateRevision) > e.own.Seen()
}

// readLate keeps everything in the span and assembles the answer in Bind: the
// response needs the numbers, the effects do not (I4).
func (e *evaluation) readLate(r *pb.RangeRequest) (*pb.RangeResponse, error) {
	l := lateRange{request: r, response: &pb.RangeResponse{}, header: e.current()}
	err := e.own.Scan(r.Key, r.RangeEnd, 0, func(kv *mvccpb.KeyValue) bool {
		l.kvs = append(l.kvs, kv)
		return true
	})
	if err != nil {
		return nil, err
	}
	e.late = append(e.late, l)
	return l.response, nil
}

func (e *evaluation) put(r *pb.PutRequest) (*pb.PutResponse, error) {
	prev, err := e.own.Get(r.Key)
	if err != nil {
		return nil, err
	}
	kv := &mvccpb.KeyValue{
		Key: r.Key, Value: r.Value, Lease: r.Lease,
		CreateRevision: e.rev, ModRevision: e.rev, Version: 1,
	}
	if r.IgnoreValue || r.IgnoreLease {
		if prev == nil { // deleted by an earlier operation of this txn
			return nil, rpctypes.ErrGRPCKeyNotFound
		}
		if r.IgnoreValue {
			kv.Value = prev.Value
		}
		if r.IgnoreLease {
			kv.Lease = prev.Lease
		}
	}
	effect := &pontoonpb.Effect{
		Kind: pontoonpb.EffectKind_EFFECT_PUT, Key: keys.User(r.Key), Value: kv.Value, Lease: kv.Lease, Fresh: prev == nil,
	}
	if prev != nil {
		kv.CreateRevision, kv.Version = prev.CreateRevision, prev.Version+1
		if prev.Lease != kv.Lease {
			effect.PrevLease = prev.Lease
		}
	}
	effect.CreateRevision, effect.Version = kv.CreateRevision, kv.Version
	e.own.set(string(r.Key), kv, prev != nil)
	e.add(effect)

	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: e.rev}}
	if r.PrevKv {
		resp.PrevKv = prev
	}
	return resp, nil
}

func (e *evaluation) deleteRange(r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	var live []*mvccpb.KeyValue
	err := e.own.Scan(r.Key, r.RangeEnd, 0, func(kv *mvccpb.KeyValue) bool {
		live = append(live, kv)
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, kv := range live {
		e.own.set(string(kv.Key), nil, true)
		e.add(&pontoonpb.Effect{
			Kind: pontoonpb.EffectKind_EFFECT_DELETE, Key: keys.User(kv.Key), PrevLease: kv.Lease, Fresh: true,
		})
	}
	resp := &pb.DeleteRangeResponse{Header: &pb.ResponseHeader{Revision: e.current()}, Deleted: int64(len(live))}
	if r.PrevKv {
		resp.PrevKvs = live
	}
	return resp, nil
}

// add numbers an effect within the whole txn (P17).
func (e *evaluation) add(effect *pontoonpb.Effect) {
	effect.Rev, effect.Sub = e.rev, int64(len(e.effects))
	e.effects = append(e.effects, effect)
}
