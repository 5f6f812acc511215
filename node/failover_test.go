package node_test

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// leads returns the ranges that a node leads, as node asked knows it.
func (nd *testNode) leads(asked *testNode) map[proto.RangeID]bool {
	nd.t.Helper()
	resp, err := asked.admin().RangeList(within(nd.t, 10*time.Second), &pontoonpb.RangeListRequest{})
	if err != nil {
		nd.t.Fatal(err)
	}
	status, err := nd.maintenance().Status(within(nd.t, 10*time.Second), &pb.StatusRequest{})
	if err != nil {
		nd.t.Fatal(err)
	}
	led := map[proto.RangeID]bool{}
	for _, r := range resp.Ranges {
		if r.LeaderNode == status.Header.MemberId {
			led[proto.RangeID(r.Desc.RangeId)] = true
		}
	}
	return led
}

// At the default intervals a dead leader's ranges, and the sequencer, serve
// again soon. The bounds leave room for a busy machine; an election timeout
// drawn at random, or a session that waits for its own, does not fit.
func TestFailoverTakesNoLongerThanPromised(t *testing.T) {
	c := newCluster(t, 3, func(_ int, cfg *config.Config) {
		cfg.HeartbeatInterval, cfg.ElectionTimeout = 100*time.Millisecond, time.Second
	})
	c.nodes[0].put("a", "0")
	var dead, asked *testNode
	for i, nd := range c.nodes {
		if nd.leads(c.nodes[0])[proto.RootRange] {
			dead, asked = nd, c.nodes[(i+1)%3]
		}
	}
	if dead == nil {
		t.Fatal("the root range has no leader")
	}
	user := dead.leads(asked)[proto.UserRange]
	asked.put("a", "1")
	dead.kill()
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := asked.kv().Put(ctx, &pb.PutRequest{Key: []byte("a"), Value: []byte("2")})
		cancel()
		if err == nil {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal(err)
		}
	}
	took, bound := time.Since(began), 1800*time.Millisecond
	t.Logf("writes again after %v, the node led the written range: %v", took, user)
	if took > bound {
		t.Errorf("writes again after %v", took)
	}
}
