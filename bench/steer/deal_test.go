package steer

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// crowded leads everything on node 1; some transfers do not succeed in time.
type crowded struct {
	pontoonpb.UnimplementedAdminServer
	leaders   map[uint64]uint64 // by range
	refusals  int
	code      codes.Code
	transfers int
}

func (s *crowded) RangeList(context.Context, *pontoonpb.RangeListRequest) (*pontoonpb.RangeListResponse, error) {
	resp := &pontoonpb.RangeListResponse{}
	for id := uint64(1); id <= uint64(len(s.leaders)); id++ {
		d := &pontoonpb.Descriptor{RangeId: id}
		for node := uint64(1); node <= 3; node++ {
			d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: node, ReplicaId: node, Role: pontoonpb.ReplicaRole_REPLICA_VOTER})
		}
		resp.Ranges = append(resp.Ranges, &pontoonpb.RangeStatus{Desc: d, LeaderNode: s.leaders[id]})
	}
	return resp, nil
}

func (s *crowded) RangeTransferLeader(_ context.Context, r *pontoonpb.RangeTransferLeaderRequest) (*pontoonpb.RangeTransferLeaderResponse, error) {
	s.transfers++
	if s.refusals > 0 {
		s.refusals--
		return nil, status.Error(s.code, "node 2 did not take over in time")
	}
	s.leaders[r.RangeId] = r.ToNode
	return &pontoonpb.RangeTransferLeaderResponse{}, nil
}

func TestDealOutAsksAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		refusals int
		code     codes.Code
		fails    bool
	}{
		"at once":        {0, codes.OK, false},
		"slow machine":   {2, codes.FailedPrecondition, false},
		"never":          {100, codes.FailedPrecondition, true},
		"something else": {1, codes.Internal, true},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &crowded{leaders: map[uint64]uint64{1: 1, 2: 1, 3: 1, 4: 1, 5: 1}, refusals: tc.refusals, code: tc.code}
			srv, l := grpc.NewServer(), listen(t)
			pontoonpb.RegisterAdminServer(srv, fake)
			go srv.Serve(l)
			t.Cleanup(srv.Stop)
			c := New(func() []string { return []string{l.Addr().String()} })
			t.Cleanup(func() { c.Close() })
			err := c.DealOut(t.Context())
			if (err != nil) != tc.fails {
				t.Fatal(err)
			}
			if tc.fails {
				if fake.transfers > dealTries {
					t.Errorf("%d tries", fake.transfers)
				}
				return
			}
			led := map[uint64]int{}
			for id, node := range fake.leaders {
				if id != 1 { // the root range stays
					led[node]++
				}
			}
			if led[1] != 1 || led[2] != 2 || led[3] != 1 {
				t.Errorf("leaders %v", fake.leaders)
			}
		})
	}
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
