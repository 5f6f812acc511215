package node_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
)

const removedText = "the member has been permanently removed from the cluster"

func (nd *testNode) members() pb.ClusterClient { return pb.NewClusterClient(nd.conn) }

// list returns the members by peer URL, as the root range has them.
func (nd *testNode) list() map[string]*pb.Member {
	nd.t.Helper()
	resp, err := nd.members().MemberList(within(nd.t, 20*time.Second), &pb.MemberListRequest{Linearizable: true}, grpc.WaitForReady(true))
	if err != nil {
		nd.t.Fatal("member list: ", err)
	}
	by := map[string]*pb.Member{}
	for _, m := range resp.Members {
		by[m.PeerURLs[0]] = m
	}
	return by
}

func (nd *testNode) self() *pb.Member { return nd.list()[nd.cfg.AdvertisePeerURLs[0]] }

// another lays out one more node, which belongs to no cluster yet.
func (c *cluster) another(tune func(cfg *config.Config)) *testNode {
	c.t.Helper()
	ports := freePorts(c.t, 2)
	cfg := c.nodes[0].cfg
	cfg.Name = fmt.Sprintf("n%d", len(c.nodes)+1)
	cfg.DataDir = filepath.Join(c.t.TempDir(), cfg.Name)
	cfg.Logger = logger(cfg.Name)
	cfg.InitialCluster = ""
	cfg.ListenClientURLs, cfg.ListenPeerURLs = []string{"http://" + ports[0]}, []string{"http://" + ports[1]}
	cfg.AdvertiseClientURLs, cfg.AdvertisePeerURLs = cfg.ListenClientURLs, cfg.ListenPeerURLs
	tune(&cfg)
	if err := cfg.Complete(); err != nil {
		c.t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+ports[0], insecureDial())
	if err != nil {
		c.t.Fatal(err)
	}
	nd := &testNode{t: c.t, addr: ports[0], cfg: cfg, conn: conn}
	c.nodes = append(c.nodes, nd)
	return nd
}

func (c *cluster) joinAt(i int) func(*config.Config) {
	return func(cfg *config.Config) {
		cfg.Join = []string{strings.TrimPrefix(c.nodes[i].cfg.AdvertisePeerURLs[0], "http://")}
	}
}

// A node joins through any member, serves at once as a gateway, is known to all,
// and is a member again after a restart without a word about the cluster.
func TestJoin(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	rev := c.nodes[0].put("a", "1")
	fourth := c.another(func(cfg *config.Config) { c.joinAt(1)(cfg); cfg.Locality = "region=eu,zone=b" })
	fourth.start()
	fourth.waitReady()
	fourth.mustHave("a", "1", rev)
	if got := fourth.put("a", "2"); got != rev+1 {
		t.Errorf("revision %d after %d", got, rev)
	}
	wait(t, "the record of the new node to be complete", func() bool {
		m := fourth.self()
		return m != nil && m.Name == "n4" && slices.Equal(m.ClientURLs, fourth.cfg.AdvertiseClientURLs)
	})
	id := fourth.self().ID
	wait(t, "all nodes to see the new one live", func() bool {
		for _, nd := range c.nodes {
			if state, n := nd.seen(id); state != "live" || len(n.Locality) != 2 {
				return false
			}
		}
		return true
	})
	fourth.stop()
	fourth.cfg.Join = nil
	fourth.start()
	fourth.waitReady()
	fourth.mustHave("a", "2", rev+1)
	if fourth.self().ID != id || len(fourth.list()) != 4 {
		t.Error("it is another member after a restart")
	}
	// A node that lost its data is not taken for the one it was.
	fourth.stop()
	cfg := fourth.cfg
	cfg.DataDir = t.TempDir()
	c.joinAt(0)(&cfg)
	refused(t, cfg, "is also that of this node")
	fourth.start()
}

// seen returns a member as a node's admin service shows it.
func (nd *testNode) seen(id uint64) (state string, status *pontoonpb.NodeStatus) {
	resp, err := nd.admin().NodeList(within(nd.t, 5*time.Second), &pontoonpb.NodeListRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return "", nil
	}
	for _, n := range resp.Nodes {
		if n.NodeId == id {
			return n.State, n
		}
	}
	return "", nil
}

// Whichever member a new one asks, it hears of all that were added before.
func TestJoinReplyIsCurrent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(_ int, cfg *config.Config) { cfg.StrictReconfigCheck = false })
	ctx := within(t, 30*time.Second)
	url := []string{"http://127.0.0.1:1"}
	if _, err := c.nodes[0].members().MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: url}); err != nil {
		t.Fatal(err)
	}
	for _, nd := range c.nodes[1:] {
		conn, err := grpc.NewClient(strings.TrimPrefix(nd.cfg.AdvertisePeerURLs[0], "http://"), insecureDial(),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(transport.Codec())))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reply, err := pontoonpb.NewPeerClient(conn).Join(ctx, &pontoonpb.JoinRequest{Name: "n4", PeerUrls: url, Added: true})
		if err != nil || reply.Refused != "" || len(reply.Nodes) != 4 {
			t.Errorf("%s: %v %v", nd.cfg.Name, reply, err)
		}
	}
}

// etcdctl member add, then a start with --initial-cluster-state existing.
func TestMemberAddThenStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, func(_ int, cfg *config.Config) { cfg.StrictReconfigCheck = false })
	first := c.nodes[0]
	rev := first.put("a", "1")
	second := c.another(func(cfg *config.Config) {
		cfg.InitialClusterState = "existing"
		cfg.InitialCluster = first.cfg.InitialCluster + ",n2=" + cfg.AdvertisePeerURLs[0]
		cfg.AdvertisePeerURLs = nil // the cluster knows it from MemberAdd
	})
	refused(t, second.cfg, "member count is unequal")
	ctx := within(t, 30*time.Second)
	add := &pb.MemberAddRequest{PeerURLs: second.cfg.AdvertisePeerURLs}
	added, err := first.members().MemberAdd(ctx, add)
	if err != nil || added.Member.Name != "" || len(added.Members) != 2 {
		t.Fatal(added, err)
	}
	other := second.cfg
	other.InitialCluster = first.cfg.InitialCluster + ",n2=http://127.0.0.1:1"
	refused(t, other, "PeerURLs: no match found for existing member")
	if m := second.cfg.AdvertisePeerURLs[0]; first.list()[m].Name != "" {
		t.Error("a member that did not start has a name")
	}
	second.start()
	second.waitReady()
	second.mustHave("a", "1", rev)
	wait(t, "the member to have started", func() bool { return second.self().GetName() == "n2" })
	if second.self().ID != added.Member.ID {
		t.Errorf("started as %x, added as %x", second.self().ID, added.Member.ID)
	}
	for name, tc := range map[string]struct {
		err  error
		code codes.Code
		text string
	}{
		"same URL":        {errOf(first.members().MemberAdd(ctx, add)), codes.FailedPrecondition, "etcdserver: Peer URLs already exists"},
		"no URL":          {errOf(first.members().MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"x"}})), codes.InvalidArgument, "etcdserver: given member URLs are invalid"},
		"promote a voter": {errOf(first.members().MemberPromote(ctx, &pb.MemberPromoteRequest{ID: added.Member.ID})), codes.FailedPrecondition, "etcdserver: can only promote a learner member"},
		"promote unknown": {errOf(first.members().MemberPromote(ctx, &pb.MemberPromoteRequest{ID: 1})), codes.NotFound, "etcdserver: member not found"},
		"update unknown":  {errOf(first.members().MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: 1})), codes.NotFound, "etcdserver: member not found"},
		"remove unknown":  {errOf(first.members().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 1})), codes.NotFound, "etcdserver: member not found"},
	} {
		if s := status.Convert(tc.err); s.Code() != tc.code || s.Message() != tc.text {
			t.Errorf("%s: %v", name, tc.err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// A learner member is a gateway; once it is there it can be promoted, and one
// at a time is enough.
func TestLearnerMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	first, ctx := c.nodes[0], within(t, 30*time.Second)
	second := c.another(func(cfg *config.Config) {
		cfg.InitialClusterState = "existing"
		cfg.InitialCluster = first.cfg.InitialCluster + ",n2=" + cfg.AdvertisePeerURLs[0]
	})
	added, err := first.members().MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: second.cfg.AdvertisePeerURLs, IsLearner: true})
	if err != nil || !added.Member.IsLearner {
		t.Fatal(added, err)
	}
	_, err = first.members().MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:1"}, IsLearner: true})
	if status.Convert(err).Message() != "etcdserver: too many learner members in cluster" {
		t.Error(err)
	}
	promote := &pb.MemberPromoteRequest{ID: added.Member.ID}
	_, err = first.members().MemberPromote(ctx, promote)
	if status.Convert(err).Message() != "etcdserver: can only promote a learner member which is in sync with leader" {
		t.Error(err)
	}
	second.start()
	wait(t, "the learner to be ready but for being one", func() bool { // as in etcd
		code, _ := second.get("/readyz?exclude=non_learner")
		return code == http.StatusOK
	})
	if code, body := second.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "[-]non_learner failed: not supported for learner\n") {
		t.Errorf("%d %s", code, body)
	}
	for name, err := range map[string]error{
		"put":               errOf(second.kv().Put(ctx, &pb.PutRequest{Key: []byte("a")})),
		"linearizable read": errOf(second.kv().Range(ctx, &pb.RangeRequest{Key: []byte("a")})),
		"member list":       errOf(second.members().MemberList(ctx, &pb.MemberListRequest{})),
		"watch": func() error {
			stream, err := second.watch().Watch(ctx)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}(),
	} {
		if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "etcdserver: rpc not supported for learner" {
			t.Errorf("%s on a learner: %v", name, err)
		}
	}
	if _, err := second.kv().Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true}); err != nil {
		t.Error(err)
	}
	if st, err := second.maintenance().Status(ctx, &pb.StatusRequest{}); err != nil || !st.IsLearner || st.Leader == 0 {
		t.Error(st, err)
	}
	wait(t, "the learner to be promoted", func() bool {
		_, err = first.members().MemberPromote(ctx, promote)
		return err == nil
	})
	// In etcd a member may lead as soon as it votes.
	if _, err := first.maintenance().MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: added.Member.ID}); err != nil {
		t.Error("leadership to the promoted member:", err)
	}
	wait(t, "the promoted member to lead", func() bool {
		st, err := second.maintenance().Status(ctx, &pb.StatusRequest{})
		return err == nil && st.Leader == added.Member.ID
	})
	second.waitReady()
	if second.self().IsLearner {
		t.Error("still a learner")
	}
	second.put("a", "1")
}

// Nodes that come back elsewhere are found again, though nobody is told but by
// themselves, and though the root range has no quorum until they are.
func TestAddressChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	rev := c.nodes[0].put("a", "1")
	moved := c.nodes[1:]
	for _, nd := range moved {
		nd.stop()
	}
	for _, nd := range moved {
		nd.cfg.ListenPeerURLs = []string{"http://" + freePorts(t, 1)[0]}
		nd.cfg.AdvertisePeerURLs = nd.cfg.ListenPeerURLs
		nd.start()
	}
	for _, nd := range c.nodes {
		nd.waitReady()
		nd.mustHave("a", "1", rev)
	}
	wait(t, "the members to have the new addresses", func() bool {
		list := c.nodes[0].list()
		return list[moved[0].cfg.AdvertisePeerURLs[0]] != nil && list[moved[1].cfg.AdvertisePeerURLs[0]] != nil
	})
	// The one that stayed goes last: the moved ones reach each other, too.
	c.nodes[0].stop()
	moved[0].put("a", "2")
}

// A removed node stops, stays out with its data, and its traffic is refused.
func TestRemovedNodeStaysOut(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	still := &pontoonpb.PlacementSettingsRequest{Set: []*pontoonpb.Setting{{Name: "balance_off", Value: "true"}}}
	if _, err := c.nodes[0].admin().PlacementSettings(within(t, 20*time.Second), still); err != nil {
		t.Fatal(err) // the new nodes are to stay empty
	}
	fourth := c.another(c.joinAt(0))
	fourth.start()
	fourth.waitReady()
	wait(t, "the new node to have started", func() bool { return fourth.self().GetName() == "n4" })
	id := fourth.self().ID
	if _, err := c.nodes[0].admin().NodeRemove(within(t, 20*time.Second), &pontoonpb.NodeRemoveRequest{NodeId: id}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-fourth.node.Failed():
		if err.Error() != removedText {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("a removed node goes on")
	}
	fourth.stop()
	if len(c.nodes[1].list()) != 3 {
		t.Error("still a member")
	}
	refused(t, fourth.cfg, removedText)
	// The same from what the others say, if it had not heard of it.
	fifth := c.another(c.joinAt(0))
	fifth.start()
	fifth.waitReady()
	wait(t, "the new node to have started", func() bool { return fifth.self().GetName() == "n5" })
	id = fifth.self().ID
	fifth.stop()
	wait(t, "the node to be gone", func() bool { state, _ := c.nodes[0].seen(id); return state == "dead" })
	if _, err := c.nodes[0].members().MemberRemove(within(t, 20*time.Second), &pb.MemberRemoveRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	refused(t, fifth.cfg, removedText)
	// It may come back without its data, as another.
	fifth.cfg.DataDir = t.TempDir()
	fifth.start()
	fifth.waitReady()
	wait(t, "the node to have started anew", func() bool { return fifth.self().GetName() == "n5" })
	if fifth.self().ID == id {
		t.Error("the id of a removed member came back")
	}
}

// What would lose data or the quorum is refused.
func TestRemovalsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	ctx := within(t, 40*time.Second)
	first := c.nodes[0]
	ids := map[string]uint64{}
	for _, m := range first.list() {
		ids[m.Name] = m.ID
	}
	_, err := first.admin().NodeRemove(ctx, &pontoonpb.NodeRemoveRequest{NodeId: ids["n2"]})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "holds 3 replicas") {
		t.Error(err)
	}
	c.nodes[1].stop()
	wait(t, "the node to be gone", func() bool { state, _ := first.seen(ids["n2"]); return state == "dead" })
	_, err = first.admin().NodeRemove(ctx, &pontoonpb.NodeRemoveRequest{NodeId: ids["n3"], Force: true})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "drain it instead") {
		t.Error("forced out while it answers: ", err)
	}
	_, err = first.members().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: ids["n3"]})
	if status.Convert(err).Message() != "etcdserver: unhealthy cluster" {
		t.Error(err)
	}
	if _, err = first.members().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: ids["n2"]}); err != nil {
		t.Error("a dead member that nobody needs: ", err)
	}
	first.put("a", "1")
	refused(t, c.nodes[1].cfg, removedText)
	if code, body := first.get("/readyz"); code != http.StatusOK {
		t.Error(code, body)
	}
	one := newCluster(t, 1, nil).nodes[0]
	_, err = one.members().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: one.self().ID})
	if s := status.Convert(err); s.Code() != codes.Unknown || s.Message() != "etcdserver: re-configuration failed due to not enough started members" {
		t.Error("the last member: ", err)
	}
	if _, err := one.admin().NodeDrain(ctx, &pontoonpb.NodeDrainRequest{NodeId: one.self().ID}); status.Code(err) != codes.FailedPrecondition {
		t.Error("draining the only node: ", err)
	}
}
