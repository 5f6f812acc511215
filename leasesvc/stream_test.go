package leasesvc

import (
	"errors"
	"io"
	"net"
	"testing"

	etcdpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Keepalives of many leases on one stream are answered in order; the stream
// ends when the client closes its side.
func TestKeepAliveStream(t *testing.T) {
	r := newRanges()
	s := r.service()
	grant(t, s, 7, 60)
	grant(t, s, 8, 90)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	etcdpb.RegisterLeaseServer(g, s)
	go g.Serve(l)
	defer g.Stop()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := etcdpb.NewLeaseClient(conn).LeaseKeepAlive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	requests := []int64{7, 9, 8, 7}
	for _, id := range requests {
		if err := stream.Send(&etcdpb.LeaseKeepAliveRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	ttls := map[int64]int64{7: 60, 8: 90, 9: 0}
	for _, id := range requests {
		resp, err := stream.Recv()
		if err != nil || resp.ID != id || resp.TTL != ttls[id] || resp.Header.GetRevision() == 0 {
			t.Fatalf("lease %d: got %v, %v", id, resp, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v", err)
	}
}
