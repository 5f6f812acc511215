package node_test

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// P41: a floor reaches every range, also one whose leader's node has no traffic
// that would tell it.
func TestFloorReachesIdleNodes(t *testing.T) {
	c := newCluster(t, 3, nil)
	ctx := within(t, 20*time.Second)
	first := c.nodes[0]
	for range 3 {
		first.put("a", "v")
	}
	ranges := func() []*pontoonpb.RangeStatus {
		list, err := first.admin().RangeList(ctx, &pontoonpb.RangeListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return list.Ranges
	}
	root := ranges()[0].LeaderNode
	var idle uint64
	for _, n := range ranges()[0].Desc.Replicas {
		if n.NodeId != root {
			idle = n.NodeId
		}
	}
	_, err := first.admin().RangeTransferLeader(ctx, &pontoonpb.RangeTransferLeaderRequest{RangeId: uint64(proto.UserRange), ToNode: idle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.kv().Compact(ctx, &pb.CompactionRequest{Revision: 3}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the floor in every range", func() bool {
		for _, r := range ranges() {
			if r.Floor != 3 {
				return false
			}
		}
		return true
	})
}
