package router_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/router/rangecache"
	"github.com/pontoon-kv/pontoon/router/rangetest"
	"github.com/pontoon-kv/pontoon/router/txn"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// filled returns a service over four ranges with keys a to h, written in that
// order with the values 8 to 1.
func filled(t *testing.T, c *rangetest.Cluster) *router.KV {
	t.Helper()
	return filledWith(t, options(c))
}

func filledWith(t *testing.T, o router.Options) *router.KV {
	t.Helper()
	kv := router.New(o)
	t.Cleanup(kv.Close)
	for i := range 8 {
		r := &pb.PutRequest{Key: []byte{'a' + byte(i)}, Value: []byte{'8' - byte(i)}}
		if _, err := kv.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return kv
}

func names(kvs []*mvccpb.KeyValue) string {
	var b strings.Builder
	for _, kv := range kvs {
		b.Write(kv.Key)
	}
	return b.String()
}

// everything asks for all keys.
func everything(change func(*pb.RangeRequest)) *pb.RangeRequest {
	r := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}
	change(r)
	return r
}

// TestRangeOverRanges: the parts of four ranges make one answer, whatever is
// asked for, and however small the pages of one range are.
func TestRangeOverRanges(t *testing.T) {
	for _, pageBytes := range []int64{0, 1, 200} {
		t.Run(fmt.Sprint(pageBytes), func(t *testing.T) {
			o := options(rangetest.New("c", "e", "g"))
			o.PageBytes = pageBytes
			rangesMakeOneAnswer(t, filledWith(t, o))
		})
	}
	t.Run("one range", func(t *testing.T) {
		c := rangetest.New()
		o := options(c)
		o.PageBytes = 200
		kv := filledWith(t, o)
		before := c.Calls("read")
		rangesMakeOneAnswer(t, kv)
		if c.Calls("read")-before < 32 {
			t.Error("there were no pages")
		}
	})
}

func rangesMakeOneAnswer(t *testing.T, kv *router.KV) {
	t.Helper()
	for _, q := range []struct {
		name  string
		r     *pb.RangeRequest
		want  string
		more  bool
		count int64
	}{
		{"all", everything(func(*pb.RangeRequest) {}), "abcdefgh", false, 8},
		{"limit in the first range", everything(func(r *pb.RangeRequest) { r.Limit = 1 }), "a", true, 8},
		{"limit at a border", everything(func(r *pb.RangeRequest) { r.Limit = 2 }), "ab", true, 8},
		{"limit over borders", everything(func(r *pb.RangeRequest) { r.Limit = 5 }), "abcde", true, 8},
		{"limit of all but one", everything(func(r *pb.RangeRequest) { r.Limit = 7 }), "abcdefg", true, 8},
		{"limit of all", everything(func(r *pb.RangeRequest) { r.Limit = 8 }), "abcdefgh", false, 8},
		{"part of ranges", &pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte("f")}, "bcde", false, 4},
		{"inverted", &pb.RangeRequest{Key: []byte("f"), RangeEnd: []byte("b")}, "", false, 0},
		{"count only", everything(func(r *pb.RangeRequest) { r.CountOnly, r.Limit = true, 2 }), "", false, 8},
		{"19 limit, then sort", everything(func(r *pb.RangeRequest) { r.SortTarget, r.Limit = pb.RangeRequest_VALUE, 2 }), "cb", true, 8},
		{"19 sort, then limit", everything(func(r *pb.RangeRequest) {
			r.SortTarget, r.SortOrder, r.Limit = pb.RangeRequest_VALUE, pb.RangeRequest_ASCEND, 3
		}), "hgf", true, 8},
		{"descending", everything(func(r *pb.RangeRequest) { r.SortOrder, r.Limit = pb.RangeRequest_DESCEND, 3 }), "hgf", true, 8},
		{"filters", everything(func(r *pb.RangeRequest) { r.MinModRevision, r.MaxCreateRevision = 3, 8 }), "bcdefg", false, 8},
		{"old revision", everything(func(r *pb.RangeRequest) { r.Revision = 4 }), "abc", false, 3},
		{"old revision and limit", everything(func(r *pb.RangeRequest) { r.Revision, r.Limit = 6, 3 }), "abc", true, 5},
		{"18 negative revision", everything(func(r *pb.RangeRequest) { r.Revision = -3 }), "abcdefgh", false, 8},
	} {
		resp, err := kv.Range(t.Context(), q.r)
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
			continue
		}
		if got := names(resp.Kvs); got != q.want || resp.More != q.more || resp.Count != q.count || resp.Header.Revision != 9 {
			t.Errorf("%s: %q more %v count %d at %d", q.name, got, resp.More, resp.Count, resp.Header.Revision)
		}
	}
	for rev, want := range map[int64]error{10: rpctypes.ErrGRPCFutureRev} {
		if _, err := kv.Range(t.Context(), everything(func(r *pb.RangeRequest) { r.Revision = rev })); err != want {
			t.Errorf("revision %d: %v", rev, err)
		}
	}
}

// TestPages: P42: only the first page of a list is counted; what follows is
// known, and right.
func TestPages(t *testing.T) {
	c := rangetest.New("c", "e", "g")
	kv := filled(t, c)
	resp, err := kv.Range(t.Context(), everything(func(r *pb.RangeRequest) { r.Limit = 2 }))
	if err != nil || resp.Count != 8 {
		t.Fatal(resp, err)
	}
	rev, got := resp.Header.Revision, names(resp.Kvs)
	if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("zz")}); err != nil {
		t.Fatal(err)
	}
	for left := int64(6); resp.More; left -= 2 {
		before := c.Calls("read")
		r := everything(func(r *pb.RangeRequest) { r.Limit, r.Revision = 2, rev })
		r.Key = append([]byte(nil), append(resp.Kvs[len(resp.Kvs)-1].Key, 0)...)
		if resp, err = kv.Range(t.Context(), r); err != nil || resp.Count != left {
			t.Fatalf("count %d, want %d, %v", resp.GetCount(), left, err)
		}
		if reads := c.Calls("read") - before; reads > 3 {
			t.Errorf("a page took %d reads", reads)
		}
		got += names(resp.Kvs)
	}
	if got != "abcdefgh" {
		t.Errorf("pages make %s", got)
	}
}

// TestStaleCache: P21: what was in one range is found in the two that it became.
func TestStaleCache(t *testing.T) {
	c := rangetest.New()
	kv := filled(t, c)
	c.Split(keys.User([]byte("c")))
	c.Split(keys.User([]byte("f")))
	resp, err := kv.Range(t.Context(), everything(func(r *pb.RangeRequest) { r.Limit = 7 }))
	if err != nil || names(resp.Kvs) != "abcdefg" || !resp.More || resp.Count != 8 {
		t.Fatal(resp, err)
	}
	c.Split(keys.User([]byte("b")))
	del, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("e"), PrevKv: true})
	if err != nil || del.Deleted != 4 || names(del.PrevKvs) != "abcd" || del.Header.Revision != 10 {
		t.Fatal(del, err)
	}
}

// full is filled with so many keys that a deletion goes by spans.
func full(t *testing.T, c *rangetest.Cluster) *router.KV {
	kv := filled(t, c)
	for i := range 2400 {
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: fmt.Appendf(nil, "%c%04d", 'a'+byte(i%6), i)}); err != nil {
			t.Fatal(err)
		}
	}
	return kv
}

// TestLargeDelete: P36: a large deletion over ranges is one effect for each
// range; P17: its subs run on over the ranges in key order.
func TestLargeDelete(t *testing.T) {
	c := rangetest.New("c", "e")
	kv := full(t, c)
	for _, q := range []struct {
		key, end string
		want     int64
	}{{"b", "e", 1203}, {"\x00", "\x00", 1205}, {"a", "\x00", 0}} {
		before := c.Revision()
		resp, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte(q.key), RangeEnd: []byte(q.end)})
		rev := before + min(q.want, 1)
		if err != nil || resp.Deleted != q.want || resp.Header.Revision != rev {
			t.Fatalf("%q to %q: %v %v, want %d at %d", q.key, q.end, resp, err, q.want, rev)
		}
		if q.want == 0 {
			continue
		}
		if _, err := kv.Range(t.Context(), everything(func(*pb.RangeRequest) {})); err != nil || len(c.Changes(rev)) != int(q.want) {
			t.Errorf("%d changes", len(c.Changes(rev)))
		}
		for i, v := range c.Changes(rev) {
			if v.Sub != int64(i) {
				t.Fatalf("P17: sub %d where %d should be", v.Sub, i)
			}
		}
	}
}

// TestLargeDeleteOverASplit: P36: what became two ranges between lock and commit is
// told all of the deletion, on both sides.
func TestLargeDeleteOverASplit(t *testing.T) {
	c := rangetest.New("c", "e")
	kv := full(t, c)
	var once sync.Once
	c.Faults = func(op *pontoonpb.RangeOp) rangetest.Fault {
		if op.GetCommit() != nil {
			once.Do(func() {
				c.Split(keys.User([]byte("b"))) // the anchor's
				c.Split(keys.User([]byte("d")))
			})
		}
		return rangetest.None
	}
	resp, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("f")})
	if err != nil || resp.Deleted < 2000 {
		t.Fatalf("%v %v", resp, err)
	}
	left, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("f"), CountOnly: true})
	if err != nil || left.Count != 0 {
		t.Fatalf("%d keys of %d are still there, %v", left.Count, resp.Deleted, err)
	}
}

type chunks struct {
	grpc.ServerStream
	ctx context.Context
	got []*pb.RangeResponse
}

func (s *chunks) Context() context.Context { return s.ctx }
func (s *chunks) Send(r *pb.RangeStreamResponse) error {
	s.got = append(s.got, r.RangeResponse)
	return nil
}

// TestRangeStream: quirk 22: all chunks together are the range response.
func TestRangeStream(t *testing.T) {
	c := rangetest.New("c", "e", "g")
	kv := filled(t, c)
	for i := range 60 {
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: fmt.Appendf(nil, "d%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int64{0, 1, 10, 25, 68, 100} {
		r := everything(func(r *pb.RangeRequest) { r.Limit = limit })
		want, err := kv.Range(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		s := &chunks{ctx: t.Context()}
		if err := kv.RangeStream(r, s); err != nil {
			t.Fatal(err)
		}
		got := &pb.RangeResponse{}
		for i, m := range s.got {
			if last := i == len(s.got)-1; last != (m.Header != nil) {
				t.Errorf("limit %d: header in chunk %d of %d", limit, i, len(s.got))
			}
			gproto.Merge(got, m)
		}
		if !gproto.Equal(want, got) || limit == 0 && len(s.got) < 3 {
			t.Errorf("limit %d: %d chunks, count %d more %v", limit, len(s.got), got.Count, got.More)
		}
	}
}

// TestCompact: quirk 24, and P41: a request that named no revision is read at
// a newer one, one that did is told.
func TestCompact(t *testing.T) {
	c := rangetest.New("c")
	kv := filled(t, c)
	for _, q := range []struct {
		rev  int64
		want error
	}{
		{-1, rpctypes.ErrGRPCCompacted}, {10, rpctypes.ErrGRPCFutureRev}, {0, nil}, {0, rpctypes.ErrGRPCCompacted},
		{5, nil}, {5, rpctypes.ErrGRPCCompacted}, {4, rpctypes.ErrGRPCCompacted}, {9, nil},
	} {
		resp, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: q.rev, Physical: q.rev == 9})
		if err != q.want || err == nil && resp.Header.Revision != 9 {
			t.Errorf("compact %d: %v %v", q.rev, resp, err)
		}
	}
	if n := c.Calls("compact"); n != 2 {
		t.Errorf("physical compaction went to %d ranges", n)
	}
	for rev, want := range map[int64]error{8: rpctypes.ErrGRPCCompacted, 9: nil} {
		if _, err := kv.Range(t.Context(), everything(func(r *pb.RangeRequest) { r.Revision = rev })); err != want {
			t.Errorf("range at %d: %v", rev, err)
		}
	}
}

// lagging gives an old read revision once.
type lagging struct {
	*rangetest.Cluster
	once sync.Once
}

func (l *lagging) ReadRevision(ctx context.Context) (txn.Read, error) {
	read, err := l.Cluster.ReadRevision(ctx)
	l.once.Do(func() { read = txn.Read{Revision: 3, Floor: -1} })
	return read, err
}

// TestFloorOvertakes: P41.
func TestFloorOvertakes(t *testing.T) {
	c := rangetest.New("c")
	kv := filled(t, c)
	if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 6}); err != nil {
		t.Fatal(err)
	}
	o := options(c)
	o.Sequencer = &lagging{Cluster: c}
	late := router.New(o)
	defer late.Close()
	resp, err := late.Range(t.Context(), everything(func(*pb.RangeRequest) {}))
	if err != nil || resp.Header.Revision != 9 {
		t.Errorf("no revision named: %v %v", resp.GetHeader(), err)
	}
}

func options(c *rangetest.Cluster) router.Options {
	cache := rangecache.New(c.Root())
	return router.Options{
		Node: 1, Boot: 1, Sender: router.NewSender(cache, c, c), Transport: c, Sequencer: c, Replicas: c,
		Leases: c, Header: c, Logger: discard(),
	}
}

// closedAt are replicas that lag.
type closedAt struct {
	at     proto.Revision
	pushed proto.Revision
}

func (c *closedAt) Closed(proto.Span) (proto.Revision, bool) { return c.at, true }
func (c *closedAt) PushClosed(rev proto.Revision)            { c.pushed = max(c.pushed, rev) }

// TestSerializable: P28: from here at the local cut, but not below what this
// gateway answered unless no quorum is there.
func TestSerializable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rangetest.New("c", "e")
		filled(t, c)
		o := options(c)
		replicas := &closedAt{at: 6}
		o.Replicas = replicas
		kv := router.New(o)
		defer kv.Close()
		get := func() (string, int64) {
			t.Helper()
			resp, err := kv.Range(t.Context(), everything(func(r *pb.RangeRequest) { r.Serializable = true }))
			if err != nil {
				t.Fatal(err)
			}
			return names(resp.Kvs), resp.Header.Revision
		}
		if got, rev := get(); got != "abcde" || rev != 6 {
			t.Errorf("fresh gateway: %s at %d", got, rev)
		}
		if _, err := kv.Range(t.Context(), everything(func(*pb.RangeRequest) {})); err != nil {
			t.Fatal(err)
		}
		if got, rev := get(); got != "abcdefgh" || rev != 9 || replicas.pushed != 9 {
			t.Errorf("after an answer at 9: %s at %d, pushed %d", got, rev, replicas.pushed)
		}
		// P8: what a client names never closes anything, and is not waited for.
		began := time.Now()
		far := everything(func(r *pb.RangeRequest) { r.Serializable, r.Revision = true, 1<<40 })
		if _, err := kv.Range(t.Context(), far); err != rpctypes.ErrGRPCFutureRev || replicas.pushed != 9 || time.Since(began) > 0 {
			t.Errorf("named revision: %v, pushed %d, after %s", err, replicas.pushed, time.Since(began))
		}
		c.Faults = func(op *pontoonpb.RangeOp) rangetest.Fault {
			if op.GetRead().GetSerializable() {
				return rangetest.None
			}
			return rangetest.Refuse // no quorum
		}
		if got, rev := get(); got != "abcde" || rev != 6 {
			t.Errorf("without quorum: %s at %d", got, rev)
		}
		start := time.Now()
		if get(); time.Since(start) > 0 {
			t.Error("without quorum every read waits again")
		}
	})
}

// TestNoAnswer: etcd's timeout and its error, and a write is never sent twice
// if its fate is unknown (P34).
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rangetest.New("c")
		kv := newKV(c)
		defer kv.Close()
		c.Faults = func(*pontoonpb.RangeOp) rangetest.Fault { return rangetest.Refuse }
		start := time.Now()
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); err == nil || err.Error() != rpctypes.ErrGRPCTimeout.Error() {
			t.Errorf("put: %v", err)
		}
		if _, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("a")}); err == nil || err.Error() != rpctypes.ErrGRPCTimeout.Error() {
			t.Errorf("range: %v", err)
		}
		if d := time.Since(start); d < 13*time.Second || d > 15*time.Second {
			t.Errorf("gave up after %v, want 2 x 7 s", d)
		}
		c.Faults = func(*pontoonpb.RangeOp) rangetest.Fault { return rangetest.LostAfter }
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); err == nil {
			t.Error("a put whose reply was lost is not a success")
		}
		if n := c.Calls("write"); n != 1 {
			t.Errorf("P34: the put was sent %d times", n)
		}
	})
}

func TestTooLarge(t *testing.T) {
	kv := newKV(rangetest.New())
	defer kv.Close()
	big := make([]byte, etcdop.DefaultMaxRequestBytes)
	if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: big}); err != rpctypes.ErrGRPCRequestTooLarge {
		t.Error(err)
	}
	if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: big[:len(big)-100]}); err != nil {
		t.Error(err)
	}
}

// TestReadOnlyTxn: one read revision, no locks, also when compares choose a
// branch that only reads (P33); negative revisions as in quirk 10.
func TestReadOnlyTxn(t *testing.T) {
	c := rangetest.New("c", "e", "g")
	kv := filled(t, c)
	get := func(key string, rev int64) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key), Revision: rev}}}
	}
	exists := &pb.Compare{Key: []byte("h"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}}
	write := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("d")}}}
	resp, err := kv.Txn(t.Context(), &pb.TxnRequest{
		Compare: []*pb.Compare{exists}, Success: []*pb.RequestOp{get("a", 0), get("d", 0), get("f", 3)},
		Failure: []*pb.RequestOp{write},
	})
	if err != nil || !resp.Succeeded || resp.Header.Revision != 9 || len(resp.Responses) != 3 ||
		resp.Responses[1].GetResponseRange().Count != 1 || resp.Responses[2].GetResponseRange().Count != 0 {
		t.Fatal(resp, err)
	}
	if n := c.Calls("lock"); n != 0 {
		t.Errorf("a branch that reads took %d locks", n)
	}
	if _, err := kv.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{get("a", 10), get("h", 0)}}); err != rpctypes.ErrGRPCFutureRev {
		t.Errorf("future revision: %v", err)
	}
	if resp, err := kv.Txn(t.Context(), &pb.TxnRequest{}); err != nil || resp.Header.Revision != 9 || !resp.Succeeded {
		t.Errorf("empty txn: %v %v", resp, err)
	}
	if resp, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("h"), RangeEnd: []byte("a")}); err != nil || resp.Deleted != 0 || resp.Header.Revision != 9 {
		t.Errorf("inverted delete: %v %v", resp, err)
	}
}

// TestCompactedUnderLocks: P33: an old revision is read under the locks; the
// refusal releases them.
func TestCompactedUnderLocks(t *testing.T) {
	c := rangetest.New("c", "e")
	kv := filled(t, c)
	if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 6}); err != nil {
		t.Fatal(err)
	}
	ops := func(rev int64) []*pb.RequestOp {
		return []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}},
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("h"), Revision: rev}}},
		}
	}
	for rev, want := range map[int64]error{5: rpctypes.ErrGRPCCompacted, -1: rpctypes.ErrGRPCCompacted, 10: rpctypes.ErrGRPCFutureRev} {
		if _, err := kv.Txn(t.Context(), &pb.TxnRequest{Success: ops(rev)}); err != want {
			t.Errorf("revision %d: %v", rev, err)
		}
	}
	resp, err := kv.Txn(t.Context(), &pb.TxnRequest{Success: ops(6)})
	if err != nil || resp.Header.Revision != 10 || resp.Responses[1].GetResponseRange().Header.Revision != 10 {
		t.Errorf("revision 6: %v %v", resp, err)
	}
	kv.Close() // waits for what is in the background
	if left := c.Leftovers(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// unaware are ranges whose leaders have not heard of any compaction yet.
type unaware struct{ *rangetest.Cluster }

func (u unaware) Call(ctx context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	reply, err := u.Cluster.Call(ctx, node, op)
	if l := reply.GetLock(); l != nil {
		l.CompactFloor = int64(proto.NeverCompacted)
	}
	return reply, err
}

// TestCompactedWithoutKeys: P33: what a txn over ranges reads of an old revision
// is refused although it reads nothing, whatever the leaders have heard of.
func TestCompactedWithoutKeys(t *testing.T) {
	c := rangetest.New("c", "e")
	kv := filled(t, c)
	if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 6}); err != nil {
		t.Fatal(err)
	}
	o := options(c)
	o.Sender, o.Transport = router.NewSender(rangecache.New(c.Root()), c, unaware{c}), unaware{c}
	late := router.New(o)
	defer late.Close()
	for rev, want := range map[int64]error{5: rpctypes.ErrGRPCCompacted, 1000: rpctypes.ErrGRPCFutureRev, 6: nil} {
		_, err := late.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a")}}},
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("h"), RangeEnd: []byte("f"), Revision: rev}}},
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("z")}}},
		}})
		if err != want {
			t.Errorf("revision %d: %v", rev, err)
		}
	}
}

// TestRefusalOrder: P33: of all that is wrong with a txn over ranges, the
// client hears of the first operation on the chosen path, and of no other.
func TestRefusalOrder(t *testing.T) {
	c := rangetest.New("c", "e")
	c.Grant(7)
	kv := filled(t, c)
	if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 6}); err != nil {
		t.Fatal(err)
	}
	put := func(change func(*pb.PutRequest)) *pb.RequestOp {
		r := &pb.PutRequest{Key: []byte("a")}
		change(r)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
	}
	get := func(rev int64) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("h"), Revision: rev}}}
	}
	nested := func(ops ...*pb.RequestOp) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: ops}}}
	}
	leased := put(func(r *pb.PutRequest) { r.Lease = 7 })
	unleased := put(func(r *pb.PutRequest) { r.Key, r.Lease = []byte("d"), 8 })
	absent := put(func(r *pb.PutRequest) { r.Key, r.IgnoreValue = []byte("x"), true })
	future, old := get(1000), get(5)
	for _, q := range []struct {
		name string
		ops  []*pb.RequestOp
		want error
	}{
		{"lease, future", []*pb.RequestOp{leased, unleased, future}, rpctypes.ErrGRPCLeaseNotFound},
		{"future, lease", []*pb.RequestOp{leased, future, unleased}, rpctypes.ErrGRPCFutureRev},
		{"lease, compacted", []*pb.RequestOp{leased, unleased, old}, rpctypes.ErrGRPCLeaseNotFound},
		{"compacted, lease", []*pb.RequestOp{leased, old, unleased}, rpctypes.ErrGRPCCompacted},
		{"compacted, future", []*pb.RequestOp{leased, old, future}, rpctypes.ErrGRPCCompacted},
		{"future, compacted", []*pb.RequestOp{leased, future, old}, rpctypes.ErrGRPCFutureRev},
		{"absent, future", []*pb.RequestOp{leased, absent, future, unleased}, rpctypes.ErrGRPCKeyNotFound},
		{"nested", []*pb.RequestOp{leased, nested(get(7), unleased), future}, rpctypes.ErrGRPCLeaseNotFound},
	} {
		if _, err := kv.Txn(t.Context(), &pb.TxnRequest{Success: q.ops}); err != q.want {
			t.Errorf("%s: %v", q.name, err)
		}
		off := &pb.TxnRequest{Success: []*pb.RequestOp{leased, get(7)}, Failure: q.ops}
		if _, err := kv.Txn(t.Context(), off); err != nil {
			t.Errorf("%s off the path: %v", q.name, err)
		}
	}
}

// TestRevoke: P37: all keys of a lease go in one revision, sorted, while puts
// keep coming; after it nobody can name the lease.
func TestRevoke(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) { revokeWhilePutting(t, seed, seed%2 == 1) })
	}
}

func revokeWhilePutting(t *testing.T, seed uint64, faults bool) {
	c := rangetest.New("c", "e", "g")
	c.Grant(9)
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 3))
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
	kv := newKV(c)
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for n := range 12 {
				key := []byte{'a' + byte((i+n)%8)}
				put := func(k []byte) *pb.RequestOp {
					return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: k, Lease: 9}}}
				}
				var err error
				if n%2 == 0 {
					_, err = kv.Put(t.Context(), put(key).GetRequestPut())
				} else {
					other := []byte{'a' + (key[0]-'a'+4)%8}
					_, err = kv.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{put(key), put(other)}})
				}
				if err != nil && err.Error() != rpctypes.ErrGRPCLeaseNotFound.Error() && !faults {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	<-time.After(30 * time.Millisecond)
	rev, err := kv.Txns().RevokeLease(t.Context(), 9, 0, 0)
	for faults && err != nil && err != rpctypes.ErrGRPCLeaseNotFound {
		_, err = kv.Txns().RevokeLease(t.Context(), 9, 0, 0)
	}
	if err != nil && !faults {
		t.Fatal(err)
	}
	clients.Wait()
	<-time.After(time.Minute)
	if faults {
		c.Faults = nil // a read finishes what late messages left behind
		if _, err := kv.Range(t.Context(), everything(func(*pb.RangeRequest) {})); err != nil {
			t.Error(err)
		}
	}
	kv.Close()
	changes := c.Changes(int64(rev))
	if len(changes) == 0 && !faults {
		t.Fatal("nothing was attached; the test tests nothing")
	}
	for i, v := range changes {
		if v.KV.ModRevision != 0 || v.Sub != int64(i) || i > 0 && string(changes[i-1].KV.Key) >= string(v.KV.Key) {
			t.Errorf("change %d of the revoke: %v", i, v)
		}
	}
	end := c.At(c.Revision())
	_ = end.Scan([]byte{0}, []byte{0}, 0, func(kv *mvccpb.KeyValue) bool {
		t.Errorf("%s outlived its lease: %v", kv.Key, kv)
		return true
	})
	if left := c.Leftovers(); len(left) > 0 && !faults {
		t.Errorf("left behind: %v", left)
	}
	if end.LeaseUsable(9, nil) != etcdop.LeaseNo {
		t.Error("the lease is still there")
	}
}

// TestRevokeEdges: an unknown lease, and one without keys, which takes no
// revision.
func TestRevokeEdges(t *testing.T) {
	c := rangetest.New("c")
	kv := filled(t, c)
	if _, err := kv.Txns().RevokeLease(t.Context(), 9, 0, 0); err != rpctypes.ErrGRPCLeaseNotFound {
		t.Errorf("unknown: %v", err)
	}
	c.Grant(9)
	if rev, err := kv.Txns().RevokeLease(t.Context(), 9, 0, 0); err != nil || rev != 9 || c.Revision() != 9 {
		t.Errorf("without keys: %d %v, now %d", rev, err, c.Revision())
	}
	two := []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Lease: 9}}},
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("h")}}},
	}
	if _, err := kv.Txn(t.Context(), &pb.TxnRequest{Success: two}); err != rpctypes.ErrGRPCLeaseNotFound {
		t.Errorf("P33: put with a lease that is gone, over ranges: %v", err)
	}
	if c.Revision() != 9 {
		t.Error("a refused txn changed something")
	}
}

// budget is what the answers under way may take.
type budget struct {
	left, restarts atomic.Int64
}

func (b *budget) Grow(_ context.Context, bytes int64) error {
	if b.left.Add(-bytes) < 0 {
		return proto.Answer(rpctypes.ErrGRPCRequestTooManyRequests)
	}
	return nil
}

func (b *budget) Restart(context.Context) { b.restarts.Add(1) }

// TestAnswersAreBounded: a list that takes too much is refused while it is gathered; a
// key, or a count, takes nothing that counts.
func TestAnswersAreBounded(t *testing.T) {
	c := rangetest.New("c", "e", "g")
	b := &budget{}
	b.left.Store(1000)
	o := options(c)
	o.PageBytes, o.Answers = 1, b
	kv := filledWith(t, o)
	before := c.Calls("read")
	_, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("c")})
	if left, reads := b.left.Load(), c.Calls("read")-before; err != nil || left > 800 || b.restarts.Load() != 1 || reads != 2 {
		t.Fatalf("%v, %d bytes left, %d reads", err, left, reads)
	}
	if _, err := kv.Range(t.Context(), everything(func(*pb.RangeRequest) {})); rpctypes.Error(err) != rpctypes.ErrTooManyRequests {
		t.Fatalf("8 keys: %v", err)
	}
	left := b.left.Load()
	for _, r := range []*pb.RangeRequest{{Key: []byte("a")}, everything(func(r *pb.RangeRequest) { r.CountOnly = true })} {
		if _, err := kv.Range(t.Context(), r); err != nil || b.left.Load() != left {
			t.Errorf("%v: %v, %d left of %d", r, err, b.left.Load(), left)
		}
	}
}
