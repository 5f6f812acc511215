package node

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
)

// lateMember answers from an old roster for a while.
type lateMember struct {
	pontoonpb.UnimplementedPeerServer
	stale int64 // so many answers, -1: all
	asked atomic.Int64
	reply func(stale bool) *pontoonpb.JoinReply
}

func (m *lateMember) Join(context.Context, *pontoonpb.JoinRequest) (*pontoonpb.JoinReply, error) {
	n := m.asked.Add(1)
	return m.reply(m.stale < 0 || n <= m.stale), nil
}

// joinThrough has n2 join a cluster in which only n1 answers.
func joinThrough(t *testing.T, m *lateMember) (self uint64, err error) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(transport.Codec()))
	pontoonpb.RegisterPeerServer(srv, m)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	first, second := "http://"+lis.Addr().String(), "http://127.0.0.1:1"
	added := &pontoonpb.NodeRecord{NodeId: 2, PeerUrls: []string{second}, Revision: 1}
	old := []*pontoonpb.NodeRecord{{NodeId: 1, Name: "n1", PeerUrls: []string{first}, Revision: 1}}
	m.reply = func(stale bool) *pontoonpb.JoinReply {
		r := &pontoonpb.JoinReply{ClusterId: 7, Node: added, Nodes: old}
		if !stale {
			r.Nodes = append(r.Nodes[:1:1], added)
		}
		return r
	}
	c, err := joinExisting(t.Context(), &config.Config{
		Name: "n2", InitialCluster: "n1=" + first + ",n2=" + second, InitialClusterState: "existing",
		AdvertisePeerURLs: []string{second}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 0, err
	}
	if len(c.Members) != 2 {
		t.Errorf("members %v", c.Members)
	}
	return uint64(c.Self), nil
}

// A member that has not heard yet of the node that was added does not keep it out.
func TestJoinThroughLateMember(t *testing.T) {
	t.Parallel()
	m := &lateMember{stale: 2}
	if self, err := joinThrough(t, m); err != nil || self != 2 {
		t.Fatal(self, err)
	}
	if n := m.asked.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// Flags that stay wrong are refused with etcd's text.
func TestJoinWithWrongFlags(t *testing.T) {
	t.Parallel()
	_, err := joinThrough(t, &lateMember{stale: -1})
	if err == nil || !strings.HasPrefix(err.Error(), "error validating peerURLs {ClusterID:7 ") || !strings.HasSuffix(err.Error(), ": member count is unequal") {
		t.Error(err)
	}
}
