package node_test

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// mustStop waits until a node stops because it was removed.
func (nd *testNode) mustStop() {
	nd.t.Helper()
	select {
	case err := <-nd.node.Failed():
		if err.Error() != removedText {
			nd.t.Error(err)
		}
	case <-time.After(40 * time.Second):
		nd.t.Fatal("a removed node goes on")
	}
	nd.stop()
}

// A drained node is emptied while clients go on, then it can be removed; a
// member that etcd's client removes while it lives is emptied first, too, also
// where nobody is left to take its replicas. Nothing is lost, nothing fails.
func TestDrainAndRemove(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(_ int, cfg *config.Config) { cfg.StrictReconfigCheck = false })
	c.nodes[0].split("m")
	fourth := c.another(c.joinAt(0))
	fourth.start()
	fourth.waitReady()
	wait(t, "the new node to have started", func() bool { return fourth.self().GetName() == "n4" })
	p := c.probe()
	p.settle(t, 10)

	ctx := within(t, 100*time.Second)
	first, second := c.nodes[0], c.nodes[1]
	id := first.self().ID
	if _, err := second.admin().NodeDrain(ctx, &pontoonpb.NodeDrainRequest{NodeId: id}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the drained node to be empty", func() bool {
		state, n := second.seen(id)
		return state == "draining" && n.Replicas == 0
	})
	wait(t, "its removal to be allowed", func() bool {
		_, err := second.admin().NodeRemove(within(t, 10*time.Second), &pontoonpb.NodeRemoveRequest{NodeId: id})
		return err == nil
	})
	first.mustStop()
	p.settle(t, 20)

	id = second.self().ID
	removed, err := c.nodes[2].members().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id})
	if err != nil || len(removed.Members) != 2 {
		t.Fatal(removed, err)
	}
	second.mustStop()
	p.settle(t, 20)
	p.cancel()
	p.wg.Wait()
	if gap, _, failure := p.take(); failure != nil {
		t.Errorf("a request failed: %v (longest gap %v)", failure, gap)
	}
	for _, nd := range c.nodes[2:] {
		nd.put("last", "1")
		if len(nd.list()) != 2 {
			t.Error("members: ", nd.list())
		}
	}
}
