package node_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/node/config"
)

// waits are the methods that may rightly give no answer.
var waits = []string{"/etcdserverpb.Watch/Watch", "/v3lockpb.Lock/Lock", "/v3electionpb.Election/Campaign", "/v3electionpb.Election/Observe"}

// try sends one request, which must be answered, or refused with a status that
// means something. Then what would stand in the way of others is undone.
func (nd *testNode) try(t *testing.T, method string, body []byte) codes.Code {
	t.Helper()
	patience := 20 * time.Second
	if slices.Contains(waits, method) {
		patience = 20 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	err := nd.send(ctx, method, body)
	code := status.Code(err)
	if took := time.Since(began); took > time.Second {
		t.Logf("%s %x took %v", method, body, took)
	}
	// Unknown is what etcd answers to some wrong requests, with a text of its own;
	// Unimplemented is its word on some options of RangeStream.
	switch {
	case code == codes.Internal && !strings.Contains(err.Error(), "unmarshal"), code == codes.DataLoss, code == codes.Unavailable,
		code == codes.Unimplemented && !strings.HasSuffix(method, "/RangeStream"),
		code == codes.DeadlineExceeded && !slices.Contains(waits, method):
		t.Errorf("%s %x: %v", method, body, err)
	}
	nd.undo(t, method)
	return code
}

// FuzzRequests sends a node what may be any request of etcd's API.
func FuzzRequests(f *testing.F) {
	all := requests()
	for i, r := range all {
		for _, m := range r.usual {
			b, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), b)
		}
	}
	one := newCluster(f, 1, func(i int, cfg *config.Config) { calm(i, cfg); cfg.BcryptCost = 4 }).nodes[0]
	one.put("k", "v")
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		nd := *one
		nd.t = t
		nd.try(t, all[int(which)%len(all)].method, body)
	})
}

// Made-up requests of every method are answered or refused, and the node serves
// on. The number printed repeats a run.
func TestInventedRequests(t *testing.T) {
	t.Parallel()
	all, err := methods()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests() {
		if all[r.method] == nil {
			t.Errorf("there is no method %s", r.method)
		}
	}
	if n := len(requests()); n != len(all) {
		t.Errorf("the usual requests are of %d methods, there are %d", n, len(all))
	}
	nd := newCluster(t, 1, func(i int, cfg *config.Config) { calm(i, cfg); cfg.BcryptCost = 4 }).nodes[0]
	nd.put("k", "v")
	seed := rand.Uint64()
	v := inventor{rand.New(rand.NewPCG(seed, 0))}
	names := slices.Sorted(maps.Keys(all))
	answers := map[codes.Code]int{}
	sent := 0
	for begin := time.Now(); sent < 3000 && (sent < 2*len(names) || time.Since(begin) < 4*time.Second); sent++ {
		name := names[sent%len(names)]
		body, err := v.body(all[name])
		if err != nil {
			t.Fatal(err)
		}
		answers[nd.try(t, name, body)]++
	}
	t.Logf("seed %d: %d requests, answers %v", seed, sent, answers)
	if answers[codes.OK] == 0 || answers[codes.InvalidArgument] == 0 {
		t.Error("nothing was taken, or nothing was refused")
	}
	rev := nd.put("after", "1")
	nd.mustHave("after", "1", rev)
	nd.stop()
	nd.start()
	nd.mustHave("after", "1", rev)
}

// send sends one request and takes the first answer.
func (nd *testNode) send(ctx context.Context, method string, body []byte) error {
	stream, err := nd.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodec(raw{}))
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(body), stream.CloseSend()); err != nil {
		return err
	}
	var reply []byte
	if err := stream.RecvMsg(&reply); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// undo takes back what would be in the way of other requests.
func (nd *testNode) undo(t *testing.T, method string) {
	ctx := within(t, 20*time.Second)
	switch {
	case strings.HasSuffix(method, "/Alarm"):
		resp, err := nd.maintenance().Alarm(ctx, &pb.AlarmRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range slices.Clone(resp.Alarms) {
			if _, err := nd.maintenance().Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.MemberID, Alarm: a.Alarm}); err != nil {
				t.Fatal(err)
			}
		}
	case strings.HasSuffix(method, "/Downgrade"):
		if _, err := nd.maintenance().Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL}); err != nil && !isError(err, rpctypes.ErrGRPCNoInflightDowngrade) {
			t.Fatal(err)
		}
	case strings.HasSuffix(method, "/MemberAdd"):
		for url, m := range nd.list() {
			if url != nd.cfg.AdvertisePeerURLs[0] {
				if _, err := nd.members().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: m.ID}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
