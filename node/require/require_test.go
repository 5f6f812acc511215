package require

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

type state struct{ leader, learner atomic.Bool }

func (s *state) HasLeader() bool              { return s.leader.Load() }
func (s *state) Learner(context.Context) bool { return s.learner.Load() }

func newRequirements(leader, learner bool) (*Requirements, *state) {
	s := &state{}
	s.leader.Store(leader)
	s.learner.Store(learner)
	return New(Options{Node: s, ElectionTimeout: time.Second}), s
}

func incoming(ctx context.Context, kv ...string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(kv...))
}

func TestUnary(t *testing.T) {
	needsLeader := []string{rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader}
	const put, get, admin = pb.KV_Put_FullMethodName, pb.KV_Range_FullMethodName, "/pontoonpb.Admin/NodeList"
	for name, tc := range map[string]struct {
		leader, learner bool
		method          string
		req             any
		md              []string
		want            error
	}{
		"plain":                  {true, false, put, &pb.PutRequest{}, nil, nil},
		"without a leader":       {false, false, put, &pb.PutRequest{}, nil, nil},
		"leader there":           {true, false, put, &pb.PutRequest{}, needsLeader, nil},
		"leader gone":            {false, false, put, &pb.PutRequest{}, needsLeader, rpctypes.ErrGRPCNoLeader},
		"serializable, gone":     {false, false, get, &pb.RangeRequest{Serializable: true}, needsLeader, rpctypes.ErrGRPCNoLeader},
		"other value":            {false, false, put, &pb.PutRequest{}, []string{rpctypes.MetadataRequireLeaderKey, "false"}, nil},
		"bad version":            {true, false, put, &pb.PutRequest{}, []string{rpctypes.MetadataClientAPIVersionKey, "\xff"}, rpctypes.ErrGRPCInvalidClientAPIVersion},
		"put on a learner":       {true, true, put, &pb.PutRequest{}, nil, rpctypes.ErrGRPCNotSupportedForLearner},
		"read on a learner":      {true, true, get, &pb.RangeRequest{}, nil, rpctypes.ErrGRPCNotSupportedForLearner},
		"old read on a learner":  {true, true, get, &pb.RangeRequest{Serializable: true}, nil, nil},
		"status of a learner":    {true, true, pb.Maintenance_Status_FullMethodName, &pb.StatusRequest{}, nil, nil},
		"lock on a learner":      {true, true, "/v3lockpb.Lock/Lock", nil, nil, rpctypes.ErrGRPCNotSupportedForLearner},
		"operator and a learner": {true, true, admin, nil, nil, nil},
	} {
		r, _ := newRequirements(tc.leader, tc.learner)
		served := false
		_, err := r.unary(incoming(t.Context(), tc.md...), tc.req, &grpc.UnaryServerInfo{FullMethod: tc.method},
			func(context.Context, any) (any, error) { served = true; return nil, nil })
		if err != tc.want || served != (tc.want == nil) {
			t.Errorf("%s: %v, served %v", name, err, served)
		}
	}
}

// fakeStream is a stream whose client says nothing.
type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *fakeStream) Context() context.Context { return s.ctx }
func (s *fakeStream) RecvMsg(any) error {
	<-s.ctx.Done()
	return s.ctx.Err()
}

// A stream that requires a leader ends after three election timeouts without,
// not before; one that does not stays.
func TestStreamsEndWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, node := newRequirements(true, false)
		r.Start()
		open := func(wait func(grpc.ServerStream) error, md ...string) chan error {
			ended := make(chan error, 1)
			go func() {
				ended <- r.stream(nil, &fakeStream{ctx: incoming(ctx, md...)}, &grpc.StreamServerInfo{FullMethod: pb.Watch_Watch_FullMethodName},
					func(_ any, s grpc.ServerStream) error { return wait(s) })
			}()
			return ended
		}
		receives := func(s grpc.ServerStream) error { return s.RecvMsg(nil) }
		waits := func(s grpc.ServerStream) error { <-s.Context().Done(); return s.Context().Err() }
		a := open(receives, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
		b := open(waits, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
		plain := open(waits)
		time.Sleep(10500 * time.Millisecond) // between two looks
		node.leader.Store(false)
		time.Sleep(2300 * time.Millisecond)
		node.leader.Store(true) // in time
		time.Sleep(time.Second)
		node.leader.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		select {
		case err := <-a:
			t.Fatal("ended too early", err)
		case err := <-b:
			t.Fatal("ended too early", err)
		default:
		}
		time.Sleep(time.Second)
		if err := <-a; err != rpctypes.ErrGRPCNoLeader {
			t.Error(err)
		}
		if err := <-b; err != rpctypes.ErrGRPCNoLeader {
			t.Error(err)
		}
		if err := <-open(waits, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader); err != rpctypes.ErrGRPCNoLeader {
			t.Error("a new one is let in:", err)
		}
		select {
		case err := <-plain:
			t.Fatal("a stream that requires nothing ended", err)
		default:
		}
		cancel()
		<-plain
		r.Close()
	})
}

func TestStreamsOnLearner(t *testing.T) {
	r, _ := newRequirements(true, true)
	for method, want := range map[string]error{
		pb.Watch_Watch_FullMethodName:          rpctypes.ErrGRPCNotSupportedForLearner,
		pb.KV_RangeStream_FullMethodName:       rpctypes.ErrGRPCNotSupportedForLearner,
		pb.Maintenance_Snapshot_FullMethodName: nil,
		"/grpc.health.v1.Health/Watch":         nil,
	} {
		err := r.stream(nil, &fakeStream{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: method}, func(any, grpc.ServerStream) error { return nil })
		if err != want {
			t.Errorf("%s: %v", method, err)
		}
	}
}
