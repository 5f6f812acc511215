package diff

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

type message = proto.Message

// maxTxnOps is etcd's default limit.
const maxTxnOps = 128

// reads queues a burst, since reads that follow one another run at the same time.
func (g *Generator) reads() Op {
	for range g.rnd.IntN(8) {
		g.push(g.read())
	}
	return g.read()
}

func (g *Generator) read() Op {
	r := &pb.RangeRequest{Key: g.key(), Revision: g.revision(65), Serializable: g.chance(25)}
	r.RangeEnd = g.rangeEnd(r.Key)
	if g.chance(40) {
		r.Limit = int64(g.rnd.IntN(7)) - 1
	}
	r.KeysOnly, r.CountOnly = g.chance(12), g.chance(12)
	if g.chance(12) {
		if g.chance(90) {
			r.Limit = 1 + int64(g.rnd.IntN(20))
		}
		if g.chance(12) {
			g.sort(r)
		}
		if g.chance(8) {
			g.filters(r)
		}
		if r.SortOrder == pb.RangeRequest_NONE {
			// etcd accepts any target without an order, sorts inside each chunk and
			// goes on behind the chunk's last key: which keys come twice and what the
			// count is depends on the sizes of the chunks.
			r.SortTarget = pb.RangeRequest_KEY
		}
		return g.op(KindRangeStream, r)
	}
	if g.chance(40) {
		g.sort(r)
	}
	if g.chance(20) {
		g.filters(r)
	}
	return g.op(KindRange, r)
}

// sort sets order and target, rarely to a number that has no meaning.
func (g *Generator) sort(r *pb.RangeRequest) {
	r.SortOrder = pb.RangeRequest_SortOrder(g.rnd.IntN(3))
	r.SortTarget = pb.RangeRequest_SortTarget(g.rnd.IntN(5))
	if g.chance(1) {
		r.SortOrder = 7
	}
	if g.chance(1) {
		r.SortTarget = 9
	}
}

func (g *Generator) filters(r *pb.RangeRequest) {
	for _, f := range []*int64{&r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		if g.chance(35) {
			*f = g.filterRevision()
		}
	}
}

func (g *Generator) put() Op {
	r := g.putRequest(g.key())
	return g.op(KindPut, r)
}

func (g *Generator) putRequest(key []byte) *pb.PutRequest {
	r := &pb.PutRequest{Key: key, Value: g.value(), PrevKv: g.chance(30)}
	if g.chance(30) {
		r.Lease = g.leaseRef()
	}
	if g.chance(4) {
		r.IgnoreValue = true
		if g.chance(85) {
			r.Value = nil
		}
	}
	if g.chance(5) {
		r.IgnoreLease = true
		if g.chance(85) {
			r.Lease = 0
		}
	}
	return r
}

func (g *Generator) deleteRange() Op {
	return g.op(KindDelete, g.deleteRequest(g.key()))
}

func (g *Generator) deleteRequest(key []byte) *pb.DeleteRangeRequest {
	r := &pb.DeleteRangeRequest{Key: key, PrevKv: g.chance(35)}
	// Wide deletions are rare, or nothing would stay.
	if g.chance(45) {
		r.RangeEnd = g.rangeEnd(key)
		if string(r.RangeEnd) == "\x00" && g.chance(80) {
			r.RangeEnd = prefixEnd(key)
		}
	}
	return r
}

func (g *Generator) txnOp() Op {
	if g.chance(4) {
		return g.op(KindTxn, g.serializableTxn())
	}
	t := g.txn(1)
	sparePanic(t)
	return g.op(KindTxn, t)
}

// sparePanic takes ignore_value and ignore_lease out of a txn that also deletes
// "from key on": etcd 3.7.3 panics, on every member and again at each restart,
// where such a delete took the key of such a put (etcdserver/txn/put.go:55).
func sparePanic(t *pb.TxnRequest) {
	var puts []*pb.PutRequest
	open := false
	var walk func(t *pb.TxnRequest)
	walk = func(t *pb.TxnRequest) {
		for _, op := range slices.Concat(t.Success, t.Failure) {
			switch r := op.GetRequest().(type) {
			case *pb.RequestOp_RequestPut:
				puts = append(puts, r.RequestPut)
			case *pb.RequestOp_RequestDeleteRange:
				open = open || string(r.RequestDeleteRange.RangeEnd) == "\x00"
			case *pb.RequestOp_RequestTxn:
				walk(r.RequestTxn)
			}
		}
	}
	walk(t)
	if !open {
		return
	}
	for _, p := range puts {
		p.IgnoreValue, p.IgnoreLease = false, false
	}
}

// serializableTxn is the one kind of txn that a member answers from its own state.
func (g *Generator) serializableTxn() *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range 1 + g.rnd.IntN(3) {
		r := g.txnRange()
		r.Serializable, r.Revision = true, 0
		t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}})
	}
	return t
}

// txn makes a txn with others nested in it, down to depth 3.
func (g *Generator) txn(depth int) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range max(0, g.rnd.IntN(5)-2) {
		t.Compare = append(t.Compare, g.compare())
	}
	used := map[string]bool{}
	for range g.rnd.IntN(6) {
		t.Success = append(t.Success, g.requestOp(depth, used))
	}
	used = map[string]bool{}
	for range g.rnd.IntN(4) {
		t.Failure = append(t.Failure, g.requestOp(depth, used))
	}
	return t
}

func (g *Generator) requestOp(depth int, used map[string]bool) *pb.RequestOp {
	key := g.key()
	for range 4 {
		if !used[string(key)] || g.chance(10) {
			break // mostly a fresh key, for duplicates are refused
		}
		key = g.key()
	}
	used[string(key)] = true
	switch n := g.rnd.IntN(100); {
	case n < 55:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.putRequest(key)}}
	case n < 75:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.txnRange()}}
	case n < 88:
		d := g.deleteRequest(key)
		if g.chance(50) {
			d.RangeEnd = nil
		}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: d}}
	case n < 99:
		if depth < 3 {
			return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txn(depth + 1)}}
		}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.txnRange()}}
	}
	if g.chance(20) {
		return &pb.RequestOp{} // no operation at all
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.putRequest(key)}}
}

// txnRange is a range inside a txn. It cannot be asked again, so a limit never cuts
// through ties of its sort, nor are the sort values hidden (see sortTies).
func (g *Generator) txnRange() *pb.RangeRequest {
	r := &pb.RangeRequest{Key: g.key(), Revision: g.revision(94), Serializable: g.chance(10), CountOnly: g.chance(10), KeysOnly: g.chance(10)}
	r.RangeEnd = g.rangeEnd(r.Key)
	if g.chance(30) {
		g.sort(r)
	}
	if g.chance(10) {
		g.filters(r)
	}
	if r.SortTarget == pb.RangeRequest_KEY && g.chance(40) {
		r.Limit = int64(g.rnd.IntN(6))
	}
	if r.SortTarget == pb.RangeRequest_VALUE {
		r.KeysOnly = false
	}
	return r
}

func (g *Generator) compare() *pb.Compare {
	c := &pb.Compare{Key: g.key(), Result: pb.Compare_CompareResult(g.rnd.IntN(4)), Target: pb.Compare_CompareTarget(g.rnd.IntN(5))}
	if g.chance(25) {
		c.RangeEnd = g.rangeEnd(c.Key)
	}
	shape := c.Target
	if g.chance(3) {
		shape = pb.Compare_CompareTarget(g.rnd.IntN(5)) // a value that is not the target's
	}
	switch shape {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: int64(g.rnd.IntN(5)) - 1}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: g.compareRevision()}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: g.compareRevision()}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: g.value()}
	case pb.Compare_LEASE:
		id := g.leaseRef()
		if inWindow(id, leaseBase) && c.Result != pb.Compare_EQUAL && c.Result != pb.Compare_NOT_EQUAL {
			id = 0 // ids that the servers picked have no common order
		}
		c.TargetUnion = &pb.Compare_Lease{Lease: id}
	}
	if g.chance(1) {
		c.TargetUnion = nil
	}
	if g.chance(0.3) {
		c.Result = 9
	}
	if g.chance(0.5) {
		c.Target = 9
	}
	return c
}

func (g *Generator) compareRevision() int64 {
	if g.chance(35) {
		return 0
	}
	return Now(-g.rnd.Int64N(30))
}

// bigTxn writes much in one revision, so that watch responses need fragments.
func (g *Generator) bigTxn() Op {
	t := &pb.TxnRequest{}
	fill := 'a' + byte(g.rnd.IntN(26))
	for i := range 14 {
		put := &pb.PutRequest{Key: keys[len(keys)-1-i], Value: bigValue(bigSize, fill)}
		t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	if g.chance(50) {
		g.push(g.op(KindTxn, proto.Clone(t))) // twice, so that prev_kv is large too
	}
	return g.op(KindTxn, t)
}

// wideTxn has as many operations as are allowed, or one more, at the top or nested.
func (g *Generator) wideTxn() Op {
	n := maxTxnOps - 1 + g.rnd.IntN(3)
	wide := &pb.TxnRequest{}
	for range n {
		r := &pb.RangeRequest{Key: g.someKey(), CountOnly: true}
		op := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
		if g.chance(50) {
			wide.Success = append(wide.Success, op)
		} else {
			wide.Failure = append(wide.Failure, op)
		}
		wide.Compare = append(wide.Compare, g.compare())
	}
	if g.chance(50) {
		wide.Compare = nil
		wide.Success = append(wide.Success, wide.Failure...)
		wide.Failure = nil
	}
	if g.chance(40) {
		wide = &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: wide}}}}
	}
	return g.op(KindTxn, wide)
}

// compact is mostly of the past, so that older revisions stay readable.
func (g *Generator) compact() Op {
	r := &pb.CompactionRequest{Physical: g.chance(50)}
	switch n := g.rnd.IntN(20); {
	case n < 10:
		r.Revision = Now(-g.rnd.Int64N(40))
	case n < 12:
		r.Revision = Compacted(1 + g.rnd.Int64N(20))
	case n < 14:
		r.Revision = Now(0)
	case n < 16:
		r.Revision = Compacted(-g.rnd.Int64N(2))
	case n < 18:
		r.Revision = Now(1 + g.rnd.Int64N(3))
	case n < 19:
		r.Revision = -1
	}
	return g.op(KindCompact, r)
}

func (g *Generator) split() Op {
	key := []byte("s" + string(rune('a'+g.rnd.IntN(26))))
	if g.chance(75) {
		// An argument of a command cannot hold a zero byte.
		for key = g.someKey(); !printable(key); {
			key = g.someKey()
		}
	}
	return g.op(KindSplit, &pb.RangeRequest{Key: key})
}

func printable(key []byte) bool {
	for _, b := range key {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return len(key) > 0
}

// oversize is above the limit for a request, or above that for a message.
func (g *Generator) oversize() Op {
	size := 1_600_000
	if g.chance(50) {
		size = 2_200_000
	}
	return g.op(KindPut, &pb.PutRequest{Key: g.someKey(), Value: bigValue(size, 'x')})
}

// raw calls what does not exist, or sends what is no message.
func (g *Generator) raw() Op {
	calls := []*pb.PutRequest{
		{Key: []byte("/etcdserverpb.KV/NoSuchMethod")},
		{Key: []byte("/no.such.Service/Method")},
		{Key: []byte("/etcdserverpb.Watch/NoSuchMethod"), Value: []byte{0x08}},
		{Key: []byte("/etcdserverpb.KV/Range"), Value: []byte{0x0a, 0xff}},
		{Key: []byte("/etcdserverpb.KV/Put"), Value: []byte{0xff, 0xff, 0xff}},
		{Key: []byte("/etcdserverpb.KV/Txn"), Value: []byte{0x12, 0x05, 0x0a}},
		{Key: []byte("/etcdserverpb.KV/Compact"), Value: []byte{0x08}},
		{Key: []byte("/etcdserverpb.Lease/LeaseGrant"), Value: []byte{0x0f}},
	}
	return g.op(KindRaw, calls[g.rnd.IntN(len(calls))])
}
