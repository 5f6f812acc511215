package rangeraft

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// fullRoom refuses every write once it is full.
type fullRoom struct {
	full  atomic.Bool
	asked atomic.Int64
}

func (f *fullRoom) Admit(_ context.Context, op *pontoonpb.RangeOp) error {
	f.asked.Add(1)
	if op.GetWrite() == nil || !f.full.Load() {
		return nil
	}
	return proto.Answer(rpctypes.ErrGRPCNoSpace)
}

// A full store refuses writes where they are led, before they take a number;
// reads go on.
func TestRoom(t *testing.T) {
	room := &fullRoom{}
	c := newCluster(t, 3, func(o *Options) { o.Room = room })
	c.leader(proto.UserRange) // a write that waits for an election is not asked about
	rev := c.put("a", "1")
	if room.asked.Load() == 0 {
		t.Fatal("nobody asked for room")
	}
	room.full.Store(true)
	if _, err := c.do(ctxFor(t, 10*time.Second), putOp("a", "2")); proto.ClientError(err).Error() != rpctypes.ErrGRPCNoSpace.Error() {
		t.Fatal(err)
	}
	if kv := c.get("a"); string(kv.Value) != "1" {
		t.Error(kv)
	}
	room.full.Store(false)
	if next := c.put("a", "3"); next != rev+1 {
		t.Errorf("revision %d follows %d: a refused write took a number", next, rev)
	}
}

// Defragment gives back what compaction dropped, on the node that is asked.
func TestDefragment(t *testing.T) {
	c := newCluster(t, 1, nil)
	value := make([]byte, 10_000)
	var rev int64
	for range 50 {
		rand.Read(value)
		rev = c.put("a", string(value))
	}
	store := c.leader(proto.UserRange).store
	full := store.opts.Engine.Used()
	_, err := c.do(ctxFor(t, 10*time.Second), &pontoonpb.RangeOp{Span: putOp("a", "").Span,
		Op: &pontoonpb.RangeOp_Compact{Compact: &pontoonpb.CompactOp{Floor: rev}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Defragment(ctxFor(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if left := store.opts.Engine.Used(); full < 450_000 || left > full/5 {
		t.Errorf("%d bytes left of %d", left, full)
	}
	if kv := c.get("a"); string(kv.Value) != string(value) {
		t.Error("the value is gone")
	}
}
