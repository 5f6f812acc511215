package etcdop_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// store keeps the whole state at every revision as a map of its own: slow, and
// too simple to be wrong. It is both the view under test and the model.
type store struct {
	states []map[string]*mvccpb.KeyValue // [i] is the state at revision i+1
	floor  int64
	seen   int64
	leases map[proto.LeaseID]etcdop.LeaseState
}

func newStore() *store {
	return &store{
		states: []map[string]*mvccpb.KeyValue{{}}, floor: -1,
		leases: map[proto.LeaseID]etcdop.LeaseState{1: etcdop.LeaseYes, 2: etcdop.LeaseYes, 9: etcdop.LeaseNo},
	}
}

func (s *store) rev() int64 { return int64(len(s.states)) }

func (s *store) at(rev int64) map[string]*mvccpb.KeyValue {
	if rev == 0 {
		rev = s.rev()
	}
	return s.states[rev-1]
}

func inRange(k string, key, end []byte) bool {
	switch {
	case len(end) == 0:
		return k == string(key)
	case string(end) == "\x00":
		return k >= string(key)
	}
	return k >= string(key) && k < string(end)
}

func within(m map[string]*mvccpb.KeyValue, key, end []byte) (out []*mvccpb.KeyValue) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if inRange(k, key, end) {
			out = append(out, m[k])
		}
	}
	return out
}

func (s *store) Get(key []byte) (*mvccpb.KeyValue, error) { return s.at(0)[string(key)], nil }
func (s *store) Scan(key, end []byte, rev int64, fn func(*mvccpb.KeyValue) bool) error {
	for _, kv := range within(s.at(rev), key, end) {
		if !fn(kv) {
			break
		}
	}
	return nil
}
func (s *store) Count(key, end []byte, rev int64) (int64, error) {
	return int64(len(within(s.at(rev), key, end))), nil
}
func (s *store) LeaseUsable(l proto.LeaseID, _ []byte) etcdop.LeaseState { return s.leases[l] }
func (s *store) Floor() int64                                            { return s.floor }
func (s *store) Seen() int64 {
	if s.seen != 0 {
		return s.seen
	}
	return s.rev()
}

// put makes a new state with one key written.
func (s *store) put(key, value string, lease int64) {
	m := maps.Clone(s.at(0))
	kv := &mvccpb.KeyValue{
		Key: []byte(key), Value: []byte(value), Lease: lease, Version: 1, CreateRevision: s.rev() + 1, ModRevision: s.rev() + 1,
	}
	if old := m[key]; old != nil {
		kv.CreateRevision, kv.Version = old.CreateRevision, old.Version+1
	}
	m[key] = kv
	s.states = append(s.states, m)
}

// apply makes a new state from effects, as an engine would.
func (s *store) apply(effects []*pontoonpb.Effect) {
	m := maps.Clone(s.at(0))
	for i, e := range effects {
		if e.Sub != int64(i) || e.Rev != s.rev()+1 {
			panic(fmt.Sprintf("effect %d is numbered %d.%d in revision %d", i, e.Rev, e.Sub, s.rev()+1))
		}
		key, _ := keys.UserKey(e.Key)
		old := m[string(key)]
		oldLease := old.GetLease()
		if e.Kind == pontoonpb.EffectKind_EFFECT_DELETE {
			if !e.Fresh || old == nil || e.PrevLease != oldLease {
				panic("tombstone of what was not there")
			}
			delete(m, string(key))
			continue
		}
		if e.Lease == oldLease {
			oldLease = 0 // the index entry stays
		}
		if e.Fresh != (old == nil) || e.PrevLease != oldLease {
			panic("put with a wrong past")
		}
		m[string(key)] = &mvccpb.KeyValue{
			Key: key, Value: e.Value, Lease: e.Lease, Version: e.Version, CreateRevision: e.CreateRevision, ModRevision: e.Rev,
		}
	}
	s.states = append(s.states, m)
}

// naive evaluates an operation that cannot fail, without looking at the code
// under test. It returns the new state.
type naive struct {
	before, now map[string]*mvccpb.KeyValue
	rev         int64
	changes     int
}

func (n *naive) current() int64 {
	if n.changes > 0 {
		return n.rev
	}
	return n.rev - 1
}

func (n *naive) run(op *pb.RequestOp) *pb.ResponseOp {
	switch o := op.Request.(type) {
	case *pb.RequestOp_RequestPut:
		r, key := o.RequestPut, string(o.RequestPut.Key)
		old := n.now[key]
		kv := &mvccpb.KeyValue{Key: r.Key, Value: r.Value, Lease: r.Lease, CreateRevision: n.rev, ModRevision: n.rev, Version: 1}
		if old != nil {
			kv.CreateRevision, kv.Version = old.CreateRevision, old.Version+1
		}
		n.now[key] = kv
		n.changes++
		resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: n.rev}}
		if r.PrevKv {
			resp.PrevKv = old
		}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: resp}}
	case *pb.RequestOp_RequestDeleteRange:
		r, resp := o.RequestDeleteRange, &pb.DeleteRangeResponse{}
		for _, kv := range within(n.now, r.Key, r.RangeEnd) {
			delete(n.now, string(kv.Key))
			n.changes++
			resp.Deleted++
			if r.PrevKv {
				resp.PrevKvs = append(resp.PrevKvs, kv)
			}
		}
		resp.Header = &pb.ResponseHeader{Revision: n.current()}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: resp}}
	case *pb.RequestOp_RequestRange:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: n.rangeOf(o.RequestRange)}}
	}
	r := op.GetRequestTxn()
	ok := true
	for _, c := range r.Compare {
		ok = ok && n.compare(c)
	}
	resp, ops := &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: ok}, r.Failure
	if ok {
		ops = r.Success
	}
	for _, nested := range ops {
		resp.Responses = append(resp.Responses, n.run(nested))
	}
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: resp}}
}

func (n *naive) compare(c *pb.Compare) bool {
	kvs := within(n.before, c.Key, c.RangeEnd)
	if len(kvs) == 0 {
		if c.Target == pb.Compare_VALUE {
			return false
		}
		kvs = []*mvccpb.KeyValue{{}}
	}
	for _, kv := range kvs {
		var have, want string // fixed width numbers, or values, order as strings
		switch c.Target {
		case pb.Compare_VALUE:
			have, want = string(kv.Value), string(c.GetValue())
		case pb.Compare_VERSION:
			have, want = fmt.Sprintf("%09d", kv.Version), fmt.Sprintf("%09d", c.GetVersion())
		case pb.Compare_CREATE:
			have, want = fmt.Sprintf("%09d", kv.CreateRevision), fmt.Sprintf("%09d", c.GetCreateRevision())
		case pb.Compare_MOD:
			have, want = fmt.Sprintf("%09d", kv.ModRevision), fmt.Sprintf("%09d", c.GetModRevision())
		case pb.Compare_LEASE:
			have, want = fmt.Sprintf("%09d", kv.Lease), fmt.Sprintf("%09d", c.GetLease())
		}
		ok := map[pb.Compare_CompareResult]bool{
			pb.Compare_EQUAL: have == want, pb.Compare_NOT_EQUAL: have != want,
			pb.Compare_GREATER: have > want, pb.Compare_LESS: have < want,
		}[c.Result]
		if !ok {
			return false
		}
	}
	return true
}

func (n *naive) rangeOf(r *pb.RangeRequest) *pb.RangeResponse {
	all := within(n.now, r.Key, r.RangeEnd)
	resp := &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: n.current()}, Count: int64(len(all))}
	if r.CountOnly {
		return resp
	}
	filtered := r.MinModRevision > 0 || r.MaxModRevision > 0 || r.MinCreateRevision > 0 || r.MaxCreateRevision > 0
	if r.SortOrder == pb.RangeRequest_NONE && r.Limit > 0 && !filtered && int64(len(all)) > r.Limit+1 {
		all = all[:r.Limit+1]
	}
	var kvs []*mvccpb.KeyValue
	for _, kv := range all {
		if r.MinModRevision > 0 && kv.ModRevision < r.MinModRevision || r.MaxModRevision > 0 && kv.ModRevision > r.MaxModRevision ||
			r.MinCreateRevision > 0 && kv.CreateRevision < r.MinCreateRevision ||
			r.MaxCreateRevision > 0 && kv.CreateRevision > r.MaxCreateRevision {
			continue
		}
		kvs = append(kvs, kv)
	}
	sort.SliceStable(kvs, func(i, j int) bool {
		a, b := kvs[i], kvs[j]
		if r.SortOrder == pb.RangeRequest_DESCEND {
			a, b = b, a
		}
		switch r.SortTarget {
		case pb.RangeRequest_VERSION:
			return a.Version < b.Version
		case pb.RangeRequest_CREATE:
			return a.CreateRevision < b.CreateRevision
		case pb.RangeRequest_MOD:
			return a.ModRevision < b.ModRevision
		case pb.RangeRequest_VALUE:
			return string(a.Value) < string(b.Value)
		}
		return string(a.Key) < string(b.Key)
	})
	if r.Limit > 0 && int64(len(kvs)) > r.Limit {
		resp.More, kvs = true, kvs[:r.Limit]
	}
	for _, kv := range kvs {
		if r.KeysOnly {
			kv = gproto.Clone(kv).(*mvccpb.KeyValue)
			kv.Value = nil
			if r.SortTarget != pb.RangeRequest_VALUE {
				kv.Lease = 0
			}
		}
		resp.Kvs = append(resp.Kvs, kv)
	}
	return resp
}

// TestAgainstModel runs random operations, with real numbers and as batches of
// placeholders, and compares answers and states with the naive model.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s := newStore()
		for range 150 {
			op := randomOp(rng, s, 3)
			if etcdop.Check(op, etcdop.DefaultMaxTxnOps) != nil {
				continue
			}
			n := &naive{before: s.at(0), now: maps.Clone(s.at(0)), rev: s.rev() + 1}
			want := n.run(op)
			if txn := want.GetResponseTxn(); txn != nil {
				txn.Header.Revision = n.current()
			}
			number := s.rev() + 1
			if rng.IntN(2) == 0 {
				number = etcdop.Placeholder
			}
			got, err := etcdop.Eval(s, number, op)
			if err != nil {
				t.Fatalf("seed %d: %v: %v", seed, op, err)
			}
			got.Bind(s.rev() + 1)
			if !gproto.Equal(want, got.Response) || got.Revision != n.current() || got.Mutates != (n.changes > 0) {
				t.Fatalf("seed %d: %v\nwant %v\ngot  %v", seed, op, want, got.Response)
			}
			if got.Mutates {
				s.apply(got.Effects)
				if !maps.EqualFunc(s.at(0), n.now, func(a, b *mvccpb.KeyValue) bool { return gproto.Equal(a, b) }) {
					t.Fatalf("seed %d: %v: states differ", seed, op)
				}
			}
		}
	}
}

func randomSpan(rng *rand.Rand) (key, end []byte) {
	key = []byte{'a' + byte(rng.IntN(7))}
	switch rng.IntN(5) {
	case 0:
		end = []byte{0}
	case 1, 2:
		end = []byte{'a' + byte(rng.IntN(9))}
	}
	return key, end
}

func randomOp(rng *rand.Rand, s *store, depth int) *pb.RequestOp {
	key, end := randomSpan(rng)
	number := func() int64 { return int64(rng.IntN(int(s.rev()) + 4)) }
	some := func(n int64) int64 { return n * int64(rng.IntN(5)/4) }
	switch n := rng.IntN(9); {
	case n < 3:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
			Key: key, Value: fmt.Append(nil, rng.IntN(9)), Lease: int64(rng.IntN(3)), PrevKv: rng.IntN(2) == 0,
		}}}
	case n == 3:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{
			Key: key, RangeEnd: end, PrevKv: rng.IntN(2) == 0,
		}}}
	case n < 7 || depth == 0:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{
			Key: key, RangeEnd: end, Limit: int64(rng.IntN(4)), KeysOnly: rng.IntN(3) == 0, CountOnly: rng.IntN(8) == 0,
			SortOrder: pb.RangeRequest_SortOrder(rng.IntN(3)), SortTarget: pb.RangeRequest_SortTarget(rng.IntN(5)),
			MinModRevision: some(number()), MaxModRevision: some(number()),
			MinCreateRevision: some(number()), MaxCreateRevision: some(number()),
		}}}
	}
	txn := &pb.TxnRequest{}
	for range rng.IntN(3) {
		txn.Compare = append(txn.Compare, randomCompare(rng, number))
	}
	for range rng.IntN(5) {
		txn.Success = append(txn.Success, randomOp(rng, s, depth-1))
		txn.Failure = append(txn.Failure, randomOp(rng, s, depth-1))
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: txn}}
}

func randomCompare(rng *rand.Rand, number func() int64) *pb.Compare {
	c := &pb.Compare{
		Target: pb.Compare_CompareTarget(rng.IntN(5)), Result: pb.Compare_CompareResult(rng.IntN(4)),
	}
	c.Key, c.RangeEnd = randomSpan(rng)
	switch c.Target {
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: fmt.Append(nil, rng.IntN(9))}
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: int64(rng.IntN(4))}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: number()}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: number()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: int64(rng.IntN(3))}
	}
	return c
}
