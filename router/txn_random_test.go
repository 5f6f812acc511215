package router_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/router/rangetest"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func newKV(c *rangetest.Cluster) *router.KV { return router.New(options(c)) }

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// done is one finished call of a client.
type done struct {
	from, to int64 // logical times of begin and end
	op       *pb.RequestOp
	resp     *pb.ResponseOp
	rev      int64
	err      error
	claims   bool
}

// call runs an operation through the service.
func call(ctx context.Context, kv *router.KV, op *pb.RequestOp) (*pb.ResponseOp, int64, error) {
	switch o := op.Request.(type) {
	case *pb.RequestOp_RequestRange:
		r, err := kv.Range(ctx, o.RequestRange)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: r}}, r.GetHeader().GetRevision(), err
	case *pb.RequestOp_RequestPut:
		r, err := kv.Put(ctx, o.RequestPut)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: r}}, r.GetHeader().GetRevision(), err
	case *pb.RequestOp_RequestDeleteRange:
		r, err := kv.DeleteRange(ctx, o.RequestDeleteRange)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: r}}, r.GetHeader().GetRevision(), err
	case *pb.RequestOp_RequestTxn:
		r, err := kv.Txn(ctx, o.RequestTxn)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: r}}, r.GetHeader().GetRevision(), err
	}
	panic("unknown operation")
}

// TestRandomTxns runs clients over ranges that split, lose replies and deliver
// late, and checks that what was answered is one strictly serial history.
func TestRandomTxns(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			// A page of one byte is a page of one key.
			synctest.Test(t, func(t *testing.T) { randomTxns(t, seed, seed%3 != 0, int64(seed%2)) })
		})
	}
}

func randomTxns(t *testing.T, seed uint64, faults bool, pageBytes int64) {
	c := rangetest.New("c", "e", "g")
	c.Grant(1)
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	c.Delay = func() time.Duration { return time.Duration(roll(3000)) * time.Microsecond }
	if faults {
		c.Faults = func(*pontoonpb.RangeOp) rangetest.Fault {
			if f := roll(60); f < 6 {
				return rangetest.Fault(f)
			}
			return rangetest.None
		}
	}
	o := options(c)
	o.PageBytes = pageBytes
	kv := router.New(o)
	var clock atomic.Int64
	histories := make([][]*done, 6)
	var clients sync.WaitGroup
	for i := range histories {
		rng := rand.New(rand.NewPCG(seed, uint64(i)+100))
		clients.Go(func() {
			for range 40 {
				d := &done{from: clock.Add(1), op: randomOp(rng)}
				d.resp, d.rev, d.err = call(t.Context(), kv, d.op)
				d.to = clock.Add(1)
				histories[i] = append(histories[i], d)
			}
		})
	}
	for _, at := range []string{"b", "f", "d"} {
		<-time.After(40 * time.Millisecond)
		c.Split(keys.User([]byte(at)))
	}
	clients.Wait()
	<-time.After(time.Minute) // what was left in the background
	kv.Close()
	if left := c.Leftovers(); !faults && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	var all []*done
	for _, h := range histories {
		all = append(all, h...)
	}
	checkHistory(t, c, all)
	if c.Calls("commit") == 0 {
		t.Error("no txn went over ranges")
	}
}

// checkHistory: every answer is what the operation says at its revision, every
// revision is one operation, and time is respected.
func checkHistory(t *testing.T, c *rangetest.Cluster, all []*done) {
	t.Helper()
	owner := make(map[int64]*done)
	failed := 0
	for _, d := range all {
		if d.err != nil {
			if status.Code(d.err) != codes.Unavailable {
				t.Errorf("%v: %v", d.op, d.err)
			}
			failed++
			continue
		}
		if r, err := etcdop.Eval(c.At(d.rev-1), d.rev, d.op); err == nil && r.Mutates && same(r.Response, d.resp) {
			d.claims = true
			if o := owner[d.rev]; o != nil {
				t.Errorf("revision %d belongs to two operations: %v and %v", d.rev, o.op, d.op)
			}
			owner[d.rev] = d
			checkChanges(t, c, d, r.Effects)
			continue
		}
		r, err := etcdop.Eval(c.At(d.rev), d.rev+1, d.op)
		if err != nil || r.Mutates || !same(r.Response, d.resp) {
			t.Errorf("%v answered %v at %d, should be %v %v", d.op, d.resp, d.rev, r, err)
		}
	}
	for rev := int64(2); rev <= c.Revision(); rev++ {
		for i, v := range c.Changes(rev) {
			if v.Sub != int64(i) {
				t.Errorf("revision %d has sub %d where %d should be (P17)", rev, v.Sub, i)
			}
		}
		if owner[rev] == nil {
			failed-- // of an operation whose answer was lost
		}
	}
	if failed < 0 {
		t.Errorf("%d revisions belong to nobody", -failed)
	}
	for _, a := range all {
		for _, b := range all {
			if a.err == nil && b.err == nil && a.to < b.from && (a.rev > b.rev || b.claims && a.rev == b.rev) {
				t.Errorf("%v at %d ended before %v at %d began", a.op, a.rev, b.op, b.rev)
			}
		}
	}
}

func checkChanges(t *testing.T, c *rangetest.Cluster, d *done, effects []*pontoonpb.Effect) {
	t.Helper()
	got := c.Changes(d.rev)
	if len(got) != len(effects) {
		t.Errorf("%v at %d made %d changes, should be %d", d.op, d.rev, len(got), len(effects))
		return
	}
	for i, e := range effects {
		if string(keys.User(got[i].KV.Key)) != string(e.Key) || string(got[i].KV.Value) != string(e.Value) {
			t.Errorf("%v at %d: change %d is of %q, should be of %q", d.op, d.rev, i, got[i].KV.Key, e.Key)
		}
	}
}

// same compares responses without the fields that only a server fills in.
func same(want, got *pb.ResponseOp) bool {
	got = gproto.Clone(got).(*pb.ResponseOp)
	for _, h := range []*pb.ResponseHeader{
		got.GetResponseRange().GetHeader(), got.GetResponsePut().GetHeader(),
		got.GetResponseDeleteRange().GetHeader(), got.GetResponseTxn().GetHeader(),
	} {
		if h != nil {
			h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
		}
	}
	return gproto.Equal(want, got)
}

func randomKey(rng *rand.Rand) []byte { return []byte{'a' + byte(rng.IntN(8))} }

func randomSpan(rng *rand.Rand) (key, end []byte) {
	key = randomKey(rng)
	switch rng.IntN(4) {
	case 0:
		end = []byte{0}
	case 1:
		end = []byte{key[0] + 1 + byte(rng.IntN(4))}
	}
	return key, end
}

func randomOp(rng *rand.Rand) *pb.RequestOp {
	switch rng.IntN(10) {
	case 0:
		return putOp(rng, randomKey(rng))
	case 1:
		return rangeOp(rng)
	case 2:
		return deleteOp(rng)
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: randomTxn(rng, 2)}}
}

func randomTxn(rng *rand.Rand, depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range rng.IntN(3) {
		key, end := randomSpan(rng)
		r.Compare = append(r.Compare, &pb.Compare{
			Key: key, RangeEnd: end, Target: pb.Compare_VERSION, Result: pb.Compare_CompareResult(rng.IntN(4)),
			TargetUnion: &pb.Compare_Version{Version: int64(rng.IntN(3))},
		})
	}
	r.Success, r.Failure = randomBranch(rng, depth), randomBranch(rng, depth)
	if etcdop.CheckTxn(r, 128) != nil {
		return randomTxn(rng, depth)
	}
	return r
}

func randomBranch(rng *rand.Rand, depth int) (ops []*pb.RequestOp) {
	for range rng.IntN(4) {
		switch n := rng.IntN(8); {
		case n < 4:
			ops = append(ops, putOp(rng, randomKey(rng)))
		case n == 4:
			ops = append(ops, deleteOp(rng))
		case n == 5 && depth > 0:
			ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: randomTxn(rng, depth-1)}})
		default:
			ops = append(ops, rangeOp(rng))
		}
	}
	return ops
}

func putOp(rng *rand.Rand, key []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
		Key: key, Value: fmt.Append(nil, rng.IntN(1000)), PrevKv: rng.IntN(2) == 0, Lease: int64(rng.IntN(4) / 3),
	}}}
}

func deleteOp(rng *rand.Rand) *pb.RequestOp {
	key, end := randomSpan(rng)
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{
		Key: key, RangeEnd: end, PrevKv: rng.IntN(2) == 0,
	}}}
}

func rangeOp(rng *rand.Rand) *pb.RequestOp {
	key, end := randomSpan(rng)
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{
		Key: key, RangeEnd: end, Limit: int64(rng.IntN(4)), KeysOnly: rng.IntN(4) == 0, CountOnly: rng.IntN(8) == 0,
		SortOrder: pb.RangeRequest_SortOrder(rng.IntN(3)), MinModRevision: int64(rng.IntN(3) / 2 * rng.IntN(20)),
	}}}
}
