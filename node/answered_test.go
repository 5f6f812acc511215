package node

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
)

type sendOnly struct {
	grpc.ServerStream
	sent func()
}

func (s sendOnly) SendMsg(any) error { s.sent(); return nil }

// P28: every revision that leaves is noted, that of a stream before it is sent.
func TestAnsweredNotesWhatLeaves(t *testing.T) {
	var noted proto.Revision
	a := answered{func(r proto.Revision) { noted = r }}
	stream := answeredStream{sendOnly{sent: func() {
		if noted != 7 {
			t.Errorf("sent while %d was noted", noted)
		}
	}}, a}
	if err := stream.SendMsg(&pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}}); err != nil {
		t.Fatal(err)
	}
	next := func(context.Context, any) (any, error) {
		return &pb.LeaseGrantResponse{Header: &pb.ResponseHeader{Revision: 9}}, nil
	}
	if _, err := a.unary(t.Context(), nil, nil, next); err != nil || noted != 9 {
		t.Errorf("%d was noted, %v", noted, err)
	}
	a.note(&pb.LeaseKeepAliveResponse{}) // no header: nothing to note
	if noted != 9 {
		t.Error(noted)
	}
}
