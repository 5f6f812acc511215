package rangeraft

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"golang.org/x/sync/errgroup"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P24, P36: a large deletion is applied in chunks that are visible one by one, with the
// applied index of before. No feed begins within them, or it would deliver the first ones
// twice, and no checksum, or it would have two values at one index.
func TestNothingIsSeenHalfApplied_P36(t *testing.T) {
	const n = 6000
	c := newCluster(t, 1, nil)
	g, ctx := errgroup.WithContext(ctxFor(t, time.Minute))
	g.SetLimit(64)
	long := strings.Repeat("k", 800) // few keys fill a chunk
	for i := range n {
		g.Go(func() error {
			_, err := c.do(ctx, putOp(fmt.Sprintf("%s-%05d", long, i), "v"))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	store := c.leader(proto.UserRange).store
	r := store.replica(proto.UserRange)
	var rev int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		reply, err := c.do(ctxFor(t, time.Minute), &pontoonpb.RangeOp{
			Span: keys.UserSpan.Wire(),
			Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{Request: &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
				RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("k"), RangeEnd: []byte("l")},
			}}}},
		})
		if err == nil {
			rev = reply.GetWrite().GetRevision()
		}
	}()
	until := func(what func()) {
		for ended := false; !ended; what() {
			select {
			case <-done:
				ended = true
			default:
			}
		}
	}
	summed := make(chan struct{})
	go func() {
		defer close(summed)
		sums := map[uint64]uint64{}
		until(func() {
			sum := r.doChecksum(t.Context(), 0).GetChecksum()
			if before, ok := sums[sum.GetIndex()]; ok && before != sum.GetSum() {
				t.Errorf("two checksums at index %d", sum.GetIndex())
			}
			sums[sum.GetIndex()] = sum.GetSum()
		})
	}()
	type opened struct {
		Feed
		events []*pontoonpb.ChangeEvent
		closed int64
	}
	var feeds []opened
	until(func() {
		f, err := store.OpenFeed(t.Context(), &pontoonpb.FeedRequest{RangeId: 3, Span: keys.UserSpan.Wire(), From: 2}) // below the ring: a scan
		if err != nil {
			t.Fatal(err)
		}
		o := opened{Feed: f}
		for len(o.events) == 0 { // the view is taken by then
			m, err := f.Recv(ctxFor(t, time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			o.events, o.closed = m.Events, max(o.closed, m.Checkpoint.GetClosed())
		}
		if feeds = append(feeds, o); len(feeds) > 16 { // the last ones count
			feeds[0].Close()
			feeds = feeds[1:]
		}
	})
	<-summed
	if rev == 0 {
		t.Fatal("nothing was deleted")
	}
	for i, f := range feeds {
		defer f.Close()
		if f.closed < rev {
			more, _ := follow(t, f.Feed, rev)
			f.events = append(f.events, more...)
		}
		seen := map[string]int{}
		for _, e := range f.events {
			key := string(e.Event.Kv.Key)
			if e.Event.Type != mvccpb.Event_DELETE {
				continue
			}
			if seen[key]++; seen[key] > 1 {
				t.Fatalf("feed %d has %q twice", i, strings.TrimPrefix(key, long))
			}
		}
		if len(seen) != n {
			t.Fatalf("feed %d has %d of %d events", i, len(seen), n)
		}
	}
}
