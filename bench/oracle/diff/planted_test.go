package diff

import (
	"context"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// patience is short here, since etcd delivers at once.
const patience = 3 * time.Second

// behindProxy starts etcd twice, the second behind a proxy that plants differences.
func behindProxy(t *testing.T, p *tamper) Start {
	return func() (Target, Target, func() error, error) {
		o, s, stop, err := Clusters("etcd", 1)()
		if err != nil {
			return o, s, nil, err
		}
		return o, p.start(t, s), stop, nil
	}
}

func clone[M proto.Message](m M) M { return proto.Clone(m).(M) }

// plants are faults that a broken subject could have, each with words that the
// difference must contain. Every one must be caught by a short generated run.
var plants = map[string]struct {
	tamper tamper
	want   string
}{
	"nothing is changed": {},
	"a read reports a later revision": {tamper{change: onAnswer(methodRange, func(r *pb.RangeResponse) []*pb.RangeResponse {
		r.Header.Revision++
		return []*pb.RangeResponse{r}
	})}, "range gw="},
	"a stale read shows what was not stored then": {tamper{change: onAnswer(methodRange, func(r *pb.RangeResponse) []*pb.RangeResponse {
		if r.Header.Revision < 8 || len(r.Kvs) == 0 {
			return nil
		}
		r.Header.Revision--
		return []*pb.RangeResponse{r}
	})}, "range gw="},
	"prev_kv is missing": {tamper{change: onAnswer(methodPut, func(r *pb.PutResponse) []*pb.PutResponse {
		r.PrevKv = nil
		return []*pb.PutResponse{r}
	})}, "answers differ"},
	"a nested header is filled": {tamper{change: onAnswer(methodTxn, func(r *pb.TxnResponse) []*pb.TxnResponse {
		for _, op := range r.Responses {
			if put := op.GetResponsePut(); put != nil {
				put.Header.ClusterId = 5
			}
		}
		return []*pb.TxnResponse{r}
	})}, "answers differ"},
	"an error has another text": {tamper{fail: func(_ string, err error) error {
		if status.Code(err) == codes.NotFound {
			return status.Error(codes.NotFound, "lease not found")
		}
		return err
	}}, "error NotFound"},
	"an error has another code": {tamper{fail: func(_ string, err error) error {
		if st := status.Convert(err); st.Code() == codes.OutOfRange {
			return status.Error(codes.InvalidArgument, st.Message())
		}
		return err
	}}, "error OutOfRange"},
	"a lease forgets a key": {tamper{change: onAnswer(methodTTL, func(r *pb.LeaseTimeToLiveResponse) []*pb.LeaseTimeToLiveResponse {
		if len(r.Keys) < 2 {
			return nil
		}
		r.Keys = r.Keys[1:]
		return []*pb.LeaseTimeToLiveResponse{r}
	})}, "answers differ"},
	"a lease is not listed": {tamper{change: onAnswer(methodLeases, func(r *pb.LeaseLeasesResponse) []*pb.LeaseLeasesResponse {
		if len(r.Leases) < 2 {
			return nil
		}
		r.Leases = r.Leases[1:]
		return []*pb.LeaseLeasesResponse{r}
	})}, "answers differ"},
	"an event is lost": {tamper{change: onEvents(1, func(r *pb.WatchResponse) []*pb.WatchResponse {
		r.Events = r.Events[1:]
		return []*pb.WatchResponse{r}
	})}, "events"},
	"a response is lost": {tamper{change: func() func(string, []byte) [][]byte {
		n := 0
		return onEvents(0, func(r *pb.WatchResponse) []*pb.WatchResponse {
			if n++; n == 20 {
				return []*pb.WatchResponse{}
			}
			return nil
		})
	}()}, "events"},
	"a response is repeated": {tamper{change: onEvents(0, func(r *pb.WatchResponse) []*pb.WatchResponse {
		return []*pb.WatchResponse{r, clone(r)}
	})}, "split or repeated"},
	"a revision is split": {tamper{change: onEvents(1, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if r.Events[0].Kv.ModRevision != r.Events[1].Kv.ModRevision {
			return nil
		}
		rest := clone(r)
		r.Events, rest.Events = r.Events[:1], rest.Events[1:]
		return []*pb.WatchResponse{r, rest}
	})}, "split or repeated"},
	"events of a revision change places": {tamper{change: onEvents(1, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if r.Events[0].Kv.ModRevision != r.Events[1].Kv.ModRevision {
			return nil
		}
		r.Events[0], r.Events[1] = r.Events[1], r.Events[0]
		return []*pb.WatchResponse{r}
	})}, "the events of a revision differ"},
	"a response is older than its events": {tamper{change: onEvents(0, func(r *pb.WatchResponse) []*pb.WatchResponse {
		r.Header.Revision = r.Events[0].Kv.ModRevision - 1
		return []*pb.WatchResponse{r}
	})}, "is behind its event"},
	"progress overtakes events": {tamper{change: onAnswer(methodWatch, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if len(r.Events) == 0 {
			return nil
		}
		return []*pb.WatchResponse{{Header: r.Header, WatchId: allWatchers}, r}
	})}, "after progress"},
	"progress is told without being asked": {tamper{change: onAnswer(methodWatch, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if len(r.Events) == 0 || r.WatchId != 0 {
			return nil
		}
		return []*pb.WatchResponse{r, {Header: r.Header, WatchId: allWatchers}}
	})}, "progress"},
	"progress is told as a later one": {tamper{change: onAnswer(methodWatch, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if r.WatchId != allWatchers || r.Created {
			return nil
		}
		r.Header.Revision++
		return []*pb.WatchResponse{r}
	})}, "progress at"},
	"a watch starts at another revision": {tamper{change: onAnswer(methodWatch, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if !r.Created {
			return nil
		}
		r.Header.Revision--
		return []*pb.WatchResponse{r}
	})}, "answers differ"},
	"a cancellation has another reason": {tamper{change: onAnswer(methodWatch, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if r.CancelReason == "" {
			return nil
		}
		r.CancelReason = "no"
		return []*pb.WatchResponse{r}
	})}, "answers differ"},
	"a fragment that was not asked for": {tamper{change: onEvents(1, func(r *pb.WatchResponse) []*pb.WatchResponse {
		first := clone(r)
		first.Fragment, first.Events = true, first.Events[:1]
		r.Events = r.Events[1:]
		return []*pb.WatchResponse{first, r}
	})}, "a fragment for watcher"},
}

func TestPlantedDifferencesAreCaught(t *testing.T) {
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plant.tamper
			src := NewGenerator(Plan{Seed: 3, Ops: 700, BarrierEvery: 100})
			_, d, err := Execute(context.Background(), behindProxy(t, &p), src, patience, new(Progress))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case plant.want == "" && d != nil:
				t.Fatalf("a false alarm: %v", d)
			case plant.want != "" && d == nil:
				t.Fatal("not caught")
			case plant.want != "" && !strings.Contains(d.Error(), plant.want):
				t.Fatalf("caught, but not as %q: %v", plant.want, d)
			}
		})
	}
}

// A difference that takes two operations is shrunk to those, and what Shrink returns
// shows it again after a round through its text form.
func TestShrinkFindsTheOperationsThatMatter(t *testing.T) {
	p := tamper{change: onAnswer(methodDelete, func(r *pb.DeleteRangeResponse) []*pb.DeleteRangeResponse {
		if r.Deleted == 0 {
			return nil
		}
		r.Deleted++
		return []*pb.DeleteRangeResponse{r}
	})}
	start := behindProxy(t, &p)
	ctx := context.Background()
	executed, d, err := Execute(ctx, start, NewGenerator(Plan{Seed: 5, Ops: 80}), patience, new(Progress))
	if err != nil || d == nil {
		t.Fatalf("difference %v, error %v", d, err)
	}
	shrunk, _ := Shrink(ctx, start, executed, d, time.Minute)
	if len(shrunk) > 3 {
		t.Fatalf("shrunk from %d to %d operations only:\n%s", len(executed), len(shrunk), Format(shrunk))
	}
	replay, err := Parse(Format(shrunk))
	if err != nil {
		t.Fatal(err)
	}
	if _, d, err := Execute(ctx, start, Sequence(replay), patience, new(Progress)); err != nil || d == nil {
		t.Fatalf("replaying the shrunk sequence: difference %v, error %v", d, err)
	}
}
