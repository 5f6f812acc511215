package etcdop_test

import (
	"errors"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

func put(key, value string) *pb.PutRequest {
	return &pb.PutRequest{Key: []byte(key), Value: []byte(value)}
}
func opPut(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}
func opDelete(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)},
	}}
}
func opRange(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}
func opTxn(compares []*pb.Compare, success, failure []*pb.RequestOp) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
		Compare: compares, Success: success, Failure: failure,
	}}}
}
func ops(o ...*pb.RequestOp) []*pb.RequestOp { return o }
func version(key string, result pb.Compare_CompareResult, v int64) *pb.Compare {
	return &pb.Compare{
		Key: []byte(key), Target: pb.Compare_VERSION, Result: result, TargetUnion: &pb.Compare_Version{Version: v},
	}
}

// filled is a store with a=3 b=2 c=1 at revisions 2, 3, 4; b has lease 1.
func filled() *store {
	s := newStore()
	s.put("a", "3", 0)
	s.put("b", "2", 1)
	s.put("c", "1", 0)
	return s
}

func eval(t *testing.T, s *store, op *pb.RequestOp) *etcdop.Result {
	t.Helper()
	r, err := etcdop.Eval(s, s.rev()+1, op)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func joined(kvs []*mvccpb.KeyValue) string {
	var out []string
	for _, kv := range kvs {
		out = append(out, string(kv.Key)+"="+string(kv.Value))
	}
	return strings.Join(out, " ")
}

// TestCheck: static errors, with the number of the quirk in the notes on etcd.
func TestCheck(t *testing.T) {
	many := func(n int) (out []*pb.RequestOp) {
		for i := range n {
			out = append(out, opRange(&pb.RangeRequest{Key: []byte{1, byte(i)}}))
		}
		return out
	}
	k := []byte("k")
	for _, c := range []struct {
		name string
		op   *pb.RequestOp
		want error
	}{
		{"16 range without key", opRange(&pb.RangeRequest{}), rpctypes.ErrGRPCEmptyKey},
		{"put without key", opPut(put("", "v")), rpctypes.ErrGRPCEmptyKey},
		{"delete without key", opDelete("", "z"), rpctypes.ErrGRPCEmptyKey},
		{"compare without key", opTxn([]*pb.Compare{version("", 0, 0)}, nil, nil), rpctypes.ErrGRPCEmptyKey},
		{"sort order", opRange(&pb.RangeRequest{Key: k, SortOrder: 3}), rpctypes.ErrGRPCInvalidSortOption},
		{"sort target", opRange(&pb.RangeRequest{Key: k, SortTarget: 5}), rpctypes.ErrGRPCInvalidSortOption},
		{"ignored value given", opPut(&pb.PutRequest{Key: k, Value: k, IgnoreValue: true}), rpctypes.ErrGRPCValueProvided},
		{"ignored lease given", opPut(&pb.PutRequest{Key: k, Lease: 1, IgnoreLease: true}), rpctypes.ErrGRPCLeaseProvided},
		{"value before lease", opPut(&pb.PutRequest{Key: k, Value: k, Lease: 1, IgnoreValue: true, IgnoreLease: true}), rpctypes.ErrGRPCValueProvided},
		{"12 empty operation", opTxn(nil, ops(&pb.RequestOp{}), nil), rpctypes.ErrGRPCKeyNotFound},
		{"128 operations", opTxn(nil, many(128), nil), nil},
		{"129 operations", opTxn(nil, nil, many(129)), rpctypes.ErrGRPCTooManyOps},
		{"1 + 127 nested", opTxn(nil, ops(opTxn(nil, many(127), nil)), nil), nil},
		{"1 + 128 nested", opTxn(nil, ops(opTxn(nil, many(128), nil)), nil), rpctypes.ErrGRPCTooManyOps},
		{"11 put twice", opTxn(nil, ops(opPut(put("k", "")), opPut(put("k", ""))), nil), rpctypes.ErrGRPCDuplicateKey},
		{"11 put in a deleted range", opTxn(nil, ops(opPut(put("k", "")), opDelete("a", "z")), nil), rpctypes.ErrGRPCDuplicateKey},
		{"11 end of a deleted range", opTxn(nil, ops(opPut(put("z", "")), opDelete("a", "z")), nil), nil},
		{"11 delete twice", opTxn(nil, ops(opDelete("a", "z"), opDelete("b", "")), nil), nil},
		{"11 both branches", opTxn(nil, ops(opPut(put("k", ""))), ops(opPut(put("k", "")))), nil},
		{"11 both nested branches", opTxn(nil, ops(opTxn(nil, ops(opPut(put("k", ""))), ops(opPut(put("k", ""))))), nil), nil},
		{"11 nested and outer put", opTxn(nil, ops(opPut(put("k", "")), opTxn(nil, ops(opPut(put("k", ""))), nil)), nil), rpctypes.ErrGRPCDuplicateKey},
		{"11 nested put, outer delete", opTxn(nil, ops(opTxn(nil, nil, ops(opPut(put("k", "")))), opDelete("k", "")), nil), rpctypes.ErrGRPCDuplicateKey},
		{"11 two nested puts", opTxn(nil, ops(opTxn(nil, ops(opPut(put("k", ""))), nil), opTxn(nil, nil, ops(opPut(put("k", ""))))), nil), rpctypes.ErrGRPCDuplicateKey},
		{"11 nested delete before nested put", opTxn(nil, ops(opTxn(nil, ops(opDelete("k", "")), nil), opTxn(nil, ops(opPut(put("k", ""))), nil)), nil), rpctypes.ErrGRPCDuplicateKey},
		{"11 nested put before nested delete", opTxn(nil, ops(opTxn(nil, ops(opPut(put("k", ""))), nil), opTxn(nil, ops(opDelete("k", "")), nil)), nil), nil},
		{"11 delete from key on is not seen", opTxn(nil, ops(opDelete("a", "\x00"), opPut(put("k", ""))), nil), nil},
		{"operations before duplicates", opTxn(nil, ops(opPut(put("k", "")), opPut(put("k", ""))), ops(&pb.RequestOp{})), rpctypes.ErrGRPCKeyNotFound},
	} {
		if got := etcdop.Check(c.op, etcdop.DefaultMaxTxnOps); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	// 22
	for _, r := range []*pb.RangeRequest{{Key: k, SortOrder: pb.RangeRequest_DESCEND}, {Key: k, MinModRevision: 1}} {
		if err := etcdop.CheckRangeStream(r); status.Code(err) != codes.Unimplemented {
			t.Errorf("range stream %v: %v", r, err)
		}
	}
}

// TestRefusals: what etcd refuses over the state, and that nothing is applied.
func TestRefusals(t *testing.T) {
	s := filled()
	s.floor = 2
	first := opPut(put("x", "1"))
	for _, c := range []struct {
		name string
		op   *pb.RequestOp
		want error
	}{
		{"23 unknown lease", opPut(&pb.PutRequest{Key: []byte("a"), Lease: 9}), rpctypes.ErrGRPCLeaseNotFound},
		{"10 unknown lease in a txn", opTxn(nil, ops(first, opPut(&pb.PutRequest{Key: []byte("a"), Lease: 9})), nil), rpctypes.ErrGRPCLeaseNotFound},
		{"10 ignore_value of a missing key", opPut(&pb.PutRequest{Key: []byte("z"), IgnoreValue: true}), rpctypes.ErrGRPCKeyNotFound},
		{"10 ignore_lease of a missing key", opTxn(nil, ops(first, opPut(&pb.PutRequest{Key: []byte("z"), IgnoreLease: true})), nil), rpctypes.ErrGRPCKeyNotFound},
		{"lease before key", opPut(&pb.PutRequest{Key: []byte("z"), IgnoreValue: true, Lease: 9}), rpctypes.ErrGRPCLeaseNotFound},
		{"18 future", opTxn(nil, ops(first, opRange(&pb.RangeRequest{Key: []byte("a"), Revision: 5})), nil), rpctypes.ErrGRPCFutureRev},
		{"18 compacted", opTxn(nil, ops(first, opRange(&pb.RangeRequest{Key: []byte("a"), Revision: 1})), nil), rpctypes.ErrGRPCCompacted},
		{"18 at the floor", opTxn(nil, ops(first, opRange(&pb.RangeRequest{Key: []byte("a"), Revision: 2})), nil), nil},
		{"10 negative in a txn", opTxn(nil, ops(first, opRange(&pb.RangeRequest{Key: []byte("a"), Revision: -1})), nil), rpctypes.ErrGRPCCompacted},
		{"10 negative alone", opRange(&pb.RangeRequest{Key: []byte("a"), Revision: -1}), nil},
		{"10 not on the chosen path", opTxn(nil, ops(first), ops(opPut(&pb.PutRequest{Key: []byte("a"), Lease: 9}))), nil},
		{"10 nested", opTxn(nil, ops(first, opTxn(nil, ops(opPut(&pb.PutRequest{Key: []byte("a"), Lease: 9})), nil)), nil), rpctypes.ErrGRPCLeaseNotFound},
		{"in order", opTxn(nil, ops(opRange(&pb.RangeRequest{Key: []byte("a"), Revision: 9}), opPut(&pb.PutRequest{Key: []byte("a"), Lease: 9})), nil), rpctypes.ErrGRPCFutureRev},
	} {
		if _, got := etcdop.Eval(s, s.rev()+1, c.op); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	never := filled() // never compacted: the floor is -1
	op := opTxn(nil, ops(first, opRange(&pb.RangeRequest{Key: []byte("a"), Revision: -1})), nil)
	if _, err := etcdop.Eval(never, never.rev()+1, op); err != nil {
		t.Errorf("10: revision -1 on a store that was never compacted: %v", err)
	}
}

// Quirk 6: a range inside a txn says the revision before until something was
// changed; nested txns have an empty header.
func TestNestedHeaders(t *testing.T) {
	s := filled()
	get := func() *pb.RequestOp { return opRange(&pb.RangeRequest{Key: []byte("a")}) }
	r := eval(t, s, opTxn(nil, ops(get(), opDelete("zz", ""), opPut(put("x", "")), get(), opTxn(nil, ops(get()), nil)), nil))
	out := r.Response.GetResponseTxn()
	var revs []int64
	for _, o := range out.Responses {
		switch {
		case o.GetResponseRange() != nil:
			revs = append(revs, o.GetResponseRange().Header.Revision)
		case o.GetResponseDeleteRange() != nil:
			revs = append(revs, o.GetResponseDeleteRange().Header.Revision)
		case o.GetResponseTxn() != nil:
			if o.GetResponseTxn().Header == nil {
				t.Error("nested header is missing")
			}
			revs = append(revs, o.GetResponseTxn().Header.GetRevision())
		default:
			revs = append(revs, o.GetResponsePut().Header.Revision)
		}
	}
	if want := []int64{4, 4, 5, 5, 0}; !equal(revs, want) || out.Header.Revision != 5 {
		t.Errorf("headers %v in %d, want %v in 5", revs, out.Header.Revision, want)
	}
	// 3, 5: what changes nothing answers with the revision before.
	if r := eval(t, s, opTxn(nil, ops(opDelete("zz", "")), nil)); r.Mutates || r.Revision != 4 {
		t.Errorf("empty delete: %+v", r)
	}
}

func equal(a, b []int64) bool {
	for i := range a {
		if len(a) != len(b) || a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// Quirk 9: compares of nested txns see the state before the whole txn.
func TestComparesSeeTheStateBefore(t *testing.T) {
	s := filled()
	inner := opTxn([]*pb.Compare{version("x", pb.Compare_EQUAL, 0)}, ops(opPut(put("y", "fresh"))), ops(opPut(put("y", "seen"))))
	r := eval(t, s, opTxn(nil, ops(opPut(put("x", "1")), inner), nil))
	if got := string(r.Effects[1].Value); got != "fresh" {
		t.Errorf("nested compare saw the put before it: %s", got)
	}
}

// Quirk 13: a value compare on a missing key never holds; others see zeroes; a
// range compare holds if it holds for every key.
func TestCompares(t *testing.T) {
	value := func(key, end string, result pb.Compare_CompareResult, v string) *pb.Compare {
		return &pb.Compare{
			Key: []byte(key), RangeEnd: []byte(end), Target: pb.Compare_VALUE, Result: result,
			TargetUnion: &pb.Compare_Value{Value: []byte(v)},
		}
	}
	for _, c := range []struct {
		c    *pb.Compare
		want bool
	}{
		{value("z", "", pb.Compare_EQUAL, ""), false},
		{value("z", "", pb.Compare_NOT_EQUAL, "x"), false},
		{version("z", pb.Compare_EQUAL, 0), true},
		{version("z", pb.Compare_LESS, 1), true},
		{value("a", "d", pb.Compare_GREATER, "0"), true},
		{value("a", "d", pb.Compare_GREATER, "1"), false},
		{value("a", "\x00", pb.Compare_LESS, "4"), true},
		{value("d", "a", pb.Compare_EQUAL, ""), false}, // inverted is empty
	} {
		r := eval(t, filled(), opTxn([]*pb.Compare{c.c}, nil, nil))
		if got := r.Response.GetResponseTxn().Succeeded; got != c.want {
			t.Errorf("%v: %v", c.c, got)
		}
	}
}

// Quirk 17: count ignores limit and filters. Quirk 19: without an order, but a
// target, the limit cuts before sorting. Quirk 20: keys_only drops the lease
// unless values were needed for sorting.
func TestRangeAssembly(t *testing.T) {
	all := func(r *pb.RangeRequest) *pb.RangeRequest {
		r.Key, r.RangeEnd = []byte("a"), []byte{0}
		return r
	}
	for _, c := range []struct {
		name  string
		r     *pb.RangeRequest
		want  string
		more  bool
		lease int64 // of b
	}{
		{"19 limit before sort", &pb.RangeRequest{SortTarget: pb.RangeRequest_VALUE, Limit: 1}, "b=2", true, 1},
		{"19 limit after sort", &pb.RangeRequest{SortTarget: pb.RangeRequest_VALUE, SortOrder: pb.RangeRequest_ASCEND, Limit: 1}, "c=1", true, 0},
		{"descending keys", &pb.RangeRequest{SortOrder: pb.RangeRequest_DESCEND, Limit: 2}, "c=1 b=2", true, 1},
		{"limit of all", &pb.RangeRequest{Limit: 3}, "a=3 b=2 c=1", false, 1},
		{"17 filters", &pb.RangeRequest{MinModRevision: 3}, "b=2 c=1", false, 1},
		{"17 filter and limit", &pb.RangeRequest{MaxModRevision: 3, Limit: 1}, "a=3", true, 0},
		{"20 keys only", &pb.RangeRequest{KeysOnly: true}, "a= b= c=", false, 0},
		{"20 keys only by value", &pb.RangeRequest{KeysOnly: true, SortTarget: pb.RangeRequest_VALUE}, "c= b= a=", false, 1},
		{"17 count only", &pb.RangeRequest{CountOnly: true, Limit: 1, MinModRevision: 3}, "", false, 0},
	} {
		resp := eval(t, filled(), opRange(all(c.r))).Response.GetResponseRange()
		if got := joined(resp.Kvs); got != c.want || resp.More != c.more || resp.Count != 3 {
			t.Errorf("%s: %q more %v count %d", c.name, got, resp.More, resp.Count)
		}
		for _, kv := range resp.Kvs {
			if string(kv.Key) == "b" && kv.Lease != c.lease {
				t.Errorf("%s: lease %d", c.name, kv.Lease)
			}
		}
	}
}

// Quirk 15: later operations see earlier ones. P17: subs are the order of
// change, not of keys.
func TestOrderWithinTxn(t *testing.T) {
	s := filled()
	r := eval(t, s, opTxn(nil, ops(
		opPut(put("z", "1")), opRange(&pb.RangeRequest{Key: []byte("z")}), opDelete("a", "c"), opPut(put("d", "2")),
		opRange(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}}),
		opRange(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, Revision: 4}),
	), nil))
	out := r.Response.GetResponseTxn().Responses
	if got := joined(out[1].GetResponseRange().Kvs); got != "z=1" {
		t.Errorf("range after put: %s", got)
	}
	if got := joined(out[4].GetResponseRange().Kvs); got != "c=1 d=2 z=1" {
		t.Errorf("range after all: %s", got)
	}
	if got := joined(out[5].GetResponseRange().Kvs); got != "a=3 b=2 c=1" {
		t.Errorf("range before all: %s", got)
	}
	var order string
	for i, e := range r.Effects {
		order += string(e.Key[1:])
		if e.Sub != int64(i) {
			t.Errorf("P17: effect %d has sub %d", i, e.Sub)
		}
	}
	if order != "zabd" {
		t.Errorf("order of change %s", order)
	}
}

// Delete, put and delete of one key is possible with a delete "from key on",
// which the static check does not see; every step is an effect.
func TestSameKeyTwice(t *testing.T) {
	s := filled()
	r := eval(t, s, opTxn(nil, ops(opDelete("b", "\x00"), opPut(put("b", "9")), opDelete("a", "\x00")), nil))
	var got string
	for _, e := range r.Effects {
		got += e.Kind.String()[len("EFFECT_"):][:1] + string(e.Key[1:])
	}
	if got != "DbDcPbDaDb" {
		t.Errorf("effects %s", got)
	}
	if p := r.Effects[2]; !p.Fresh || p.Version != 1 || p.CreateRevision != 5 || p.PrevLease != 0 {
		t.Errorf("put after delete: %v", p)
	}
	// etcd would crash here: the key is gone before the put that keeps its value.
	op := opTxn(nil, ops(opDelete("b", "\x00"), opPut(&pb.PutRequest{Key: []byte("b"), IgnoreValue: true})), nil)
	if _, err := etcdop.Eval(s, 5, op); err != rpctypes.ErrGRPCKeyNotFound {
		t.Errorf("ignore_value after delete: %v", err)
	}
}

// Quirk 23: a put without a lease detaches, with another moves, ignore_lease
// keeps. Quirk 4: an identical value is a change too.
func TestLeaseOfPut(t *testing.T) {
	for _, c := range []struct {
		r           *pb.PutRequest
		lease, prev int64
	}{
		{put("b", "2"), 0, 1},
		{&pb.PutRequest{Key: []byte("b"), Lease: 2}, 2, 1},
		{&pb.PutRequest{Key: []byte("b"), Lease: 1}, 1, 0},
		{&pb.PutRequest{Key: []byte("b"), IgnoreLease: true}, 1, 0},
		{&pb.PutRequest{Key: []byte("n"), Lease: 1}, 1, 0},
	} {
		e := eval(t, filled(), opPut(c.r)).Effects[0]
		if e.Lease != c.lease || e.PrevLease != c.prev {
			t.Errorf("%v: lease %d, previous %d", c.r, e.Lease, e.PrevLease)
		}
	}
}

// P14: a compare against a number that is not granted yet is decided only by
// values that were granted; I4.
func TestUndecided(t *testing.T) {
	s := filled()
	s.states[3]["c"].ModRevision = etcdop.Placeholder // of an earlier request of the batch
	mod := func(result pb.Compare_CompareResult, rev int64) *pb.RequestOp {
		return opTxn([]*pb.Compare{{
			Key: []byte("c"), Target: pb.Compare_MOD, Result: result, TargetUnion: &pb.Compare_ModRevision{ModRevision: rev},
		}}, nil, nil)
	}
	r, err := etcdop.Eval(s, etcdop.Placeholder+1, mod(pb.Compare_GREATER, 4))
	if err != nil || !r.Response.GetResponseTxn().Succeeded {
		t.Errorf("value that was granted: %v %v", r, err)
	}
	if _, err := etcdop.Eval(s, etcdop.Placeholder+1, mod(pb.Compare_EQUAL, 5)); err != etcdop.ErrUndecided {
		t.Errorf("value that may be granted: %v", err)
	}
	// A filter only shapes the answer: it waits for Bind.
	r, err = etcdop.Eval(s, etcdop.Placeholder+1, opTxn(nil, ops(opPut(put("x", "1")), opRange(&pb.RangeRequest{
		Key: []byte("a"), RangeEnd: []byte{0}, MinModRevision: 8,
	})), nil))
	if err != nil {
		t.Fatal(err)
	}
	r.Bind(7)
	if got := r.Response.GetResponseTxn().Responses[1].GetResponseRange(); joined(got.Kvs) != "x=1" || got.Count != 4 || got.Header.Revision != 8 {
		t.Errorf("filter at its number: %v", got)
	}
	if s.states[3]["c"].ModRevision != etcdop.Placeholder {
		t.Error("I2: Bind modified a key-value of the view")
	}
}

// Blocked outcomes name what is needed.
func TestBlocked(t *testing.T) {
	s := filled()
	var lease *etcdop.NeedLease
	_, err := etcdop.Eval(s, 5, opPut(&pb.PutRequest{Key: []byte("a"), Lease: 5}))
	if !errors.As(err, &lease) || lease.Lease != proto.LeaseID(5) || string(lease.Key) != "a" {
		t.Errorf("unknown lease: %v", err)
	}
	var seen *etcdop.NeedSeen
	op := opTxn(nil, ops(opRange(&pb.RangeRequest{Key: []byte("a"), Revision: 6})), nil)
	if _, err = etcdop.Eval(s, etcdop.Placeholder, op); !errors.As(err, &seen) || seen.Rev != 6 {
		t.Errorf("revision that may exist: %v", err)
	}
}

func TestFootprint(t *testing.T) {
	op := opTxn([]*pb.Compare{version("a", 0, 0)},
		ops(opPut(&pb.PutRequest{Key: []byte("b"), Lease: 3}), opTxn([]*pb.Compare{version("c", 0, 0)}, ops(opDelete("d", "f")), nil)),
		ops(opRange(&pb.RangeRequest{Key: []byte("g"), Revision: 7}), opDelete("z", "a")))
	show := func(as []etcdop.Access) (out string) {
		for _, a := range as {
			out += string(a.Span.Start[1:])
			if a.Write {
				out += "!"
			}
		}
		return out
	}
	if got := show(etcdop.Footprint(op)); got != "ab!cd!g" {
		t.Errorf("all: %s", got)
	}
	if got := show(etcdop.FootprintOf(op, etcdop.Path{true, false})); got != "ab!c" {
		t.Errorf("path: %s", got)
	}
	if !etcdop.Writes(op, etcdop.Path{true, false}) || etcdop.Writes(op, etcdop.Path{false}) {
		t.Error("writes")
	}
}

// FuzzEval: no request that passes the wire makes Check or Eval panic.
func FuzzEval(f *testing.F) {
	for _, op := range []*pb.RequestOp{
		opPut(put("a", "1")), opDelete("a", "\x00"), opRange(&pb.RangeRequest{Key: []byte("a"), Limit: 1}),
		opTxn([]*pb.Compare{version("a", 0, 1)}, ops(opTxn(nil, ops(opDelete("a", "z")), nil)), ops(&pb.RequestOp{})),
	} {
		data, _ := gproto.Marshal(op)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		op := &pb.RequestOp{}
		if gproto.Unmarshal(data, op) != nil || etcdop.Check(op, etcdop.DefaultMaxTxnOps) != nil {
			return
		}
		s := filled()
		for _, rev := range []int64{s.rev() + 1, etcdop.Placeholder} {
			r, err := etcdop.Eval(s, rev, op)
			if err != nil {
				continue
			}
			r.Bind(s.rev() + 1)
			if r.Mutates {
				s.apply(r.Effects)
			}
			if r.Revision != s.rev() {
				t.Fatalf("revision %d, want %d", r.Revision, s.rev())
			}
		}
	})
}
