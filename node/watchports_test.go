package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// A replica here that is behind, or that left its range, does not have what the
// cache says it has. What a watch needs of the past is then read elsewhere, at
// once: nobody else may come by to correct the cache (P21).
func TestThePastIsReadElsewhereIfTheReplicaHereIsBehind_P21(t *testing.T) {
	t.Parallel()
	n := single(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	put := func(value string) int64 {
		resp, err := n.kv.Put(ctx, &pb.PutRequest{Key: []byte("x"), Value: []byte(value)})
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Revision
	}
	first, second := put("1"), put("2")
	at := keys.User([]byte("m"))
	if _, err := n.sender.Send(ctx, &pontoonpb.RangeOp{Span: keys.Point(at).Wire(),
		Op: &pontoonpb.RangeOp_Split{Split: &pontoonpb.SplitOp{Key: at, RightRangeId: 77}}}); err != nil {
		t.Fatal(err)
	}
	replicas := []*pontoonpb.Replica{{NodeId: uint64(n.members.Self), ReplicaId: 1}}
	ahead := &pontoonpb.Descriptor{RangeId: uint64(proto.UserRange), Span: keys.UserSpan.Wire(), Replicas: replicas, Generation: 100}
	for name, read := range map[string]func() error{
		"previous": func() error {
			kv, err := n.near.Previous(ctx, []byte("x"), proto.Revision(second-1))
			if err == nil && (kv == nil || kv.ModRevision != first) {
				t.Errorf("the previous version is %v", kv)
			}
			return err
		},
		"history": func() error {
			span := keys.Point(keys.User([]byte("x")))
			h, err := n.near.History(ctx, span, proto.Revision(first), proto.Revision(second), 1<<20)
			if err == nil && len(h.Events) != 2 {
				t.Errorf("%d events", len(h.Events))
			}
			return err
		},
	} {
		if !n.near.cache.Insert(ahead) {
			t.Fatal("the cache does not take the descriptor")
		}
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A watch finds a range that left all the nodes it was seen on, when none of them
// is there any more to tell (P21).
func TestFeedFindsARangeThatLeftAllNodesItWasOn(t *testing.T) {
	t.Parallel()
	n := single(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	now, err := n.near.Cover(ctx, keys.UserSpan)
	if err != nil {
		t.Fatal(err)
	}
	n.near.cache.Evict(now[0])
	n.near.cache.Insert(&pontoonpb.Descriptor{RangeId: now[0].RangeId, Span: now[0].Span, Generation: now[0].Generation,
		Replicas: []*pontoonpb.Replica{{NodeId: 1 << 40}, {NodeId: 2 << 40}}})
	for attempt := 0; ; attempt++ {
		known, err := n.near.Cover(ctx, keys.UserSpan)
		if err != nil {
			t.Fatal(err)
		}
		f, err := n.near.Open(ctx, known[0], &pontoonpb.FeedRequest{RangeId: known[0].RangeId, Span: keys.UserSpan.Wire(), From: 1}, attempt)
		if err == nil {
			f.Close()
			return
		}
		if attempt == 2*len(known[0].Replicas) {
			t.Fatalf("still asks %v: %v", known[0].Replicas, err)
		}
	}
}

// single starts a node on its own.
func single(t *testing.T) *Node {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.Logger = t.TempDir(), slog.New(slog.DiscardHandler)
	cfg.ListenClientURLs, cfg.ListenPeerURLs = []string{"http://127.0.0.1:0"}, []string{"http://127.0.0.1:0"}
	cfg.AdvertiseClientURLs = cfg.ListenClientURLs
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}
