package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/placement/simulation"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// world builds a small view: user ranges 3, 4, ... beside the root (1) and the
// lease range (2).
type world struct {
	*simulation.Run
}

func newWorld(nodes, ranges int, size int64, on func(i int) []uint64) *world {
	c := simulation.NewCluster(nodes)
	c.Fill(ranges, size, on)
	return &world{simulation.NewRun(c)}
}

func on(nodes ...uint64) func(int) []uint64 { return func(int) []uint64 { return nodes } }

// texts makes a plan and writes each operator in a line.
func (w *world) texts() []string {
	v := w.View()
	var list []string
	for _, o := range plan.Make(v).Operators {
		list = append(list, text(v, o))
	}
	return list
}

func text(v *plan.View, o *operator.Operator) string {
	var steps []string
	for _, s := range o.Steps {
		steps = append(steps, s.Text(v.Names()))
	}
	return fmt.Sprintf("%d %s (%s): %s", o.Range, o.Kind, o.Reason, strings.Join(steps, "; "))
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	got := w.texts()
	if len(got) != len(want) {
		t.Fatalf("%d operators, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

func (w *world) drain(id int) { w.Nodes[id-1].Record.State = pontoonpb.NodeState_NODE_DRAINING }

func (w *world) role(id proto.RangeID, node uint64, role pontoonpb.ReplicaRole) {
	d := w.Range(id).Status.Desc
	for _, r := range d.Replicas {
		if r.NodeId == node {
			r.Role = role
			return
		}
	}
	d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: node, ReplicaId: 9, Role: role})
}

func zone(z string) []*pontoonpb.LocalityTier {
	return []*pontoonpb.LocalityTier{{Key: "region", Value: "r"}, {Key: "zone", Value: z}}
}

// balanced is a cluster of four nodes that leaves nothing to do.
func balanced() *world {
	sets := [][]uint64{{1, 2, 3}, {2, 3, 4}, {3, 4, 1}, {4, 1, 2}}
	w := newWorld(4, 2, 64<<20, func(i int) []uint64 { return sets[i%4] })
	for _, r := range w.Ranges {
		r.Status.SizeBytes = 64 << 20
	}
	return w
}

func TestNothingToDo(t *testing.T) { balanced().expect(t) }

func TestDeadNode(t *testing.T) {
	w := balanced()
	w.Kill(1)
	w.Now = w.Now.Add(299 * time.Second)
	if got := w.texts(); len(got) > 0 && strings.Contains(strings.Join(got, ""), "dead") {
		t.Fatal("before its time:", got)
	}
	w.Now = w.Now.Add(3 * time.Second)
	got := w.texts()
	const want = "1 replace-dead (n1 has not answered for 5m2s, the limit is 5m0s; n4 takes over): " +
		"add a replica of range 1 without a vote on n4; send the data to n4; give n4 the vote of n1; remove the replica on n1"
	if len(got) == 0 || got[0] != want {
		t.Fatalf("got  %v\nwant %s", got, want)
	}
	w.Nodes[0].Record.State = pontoonpb.NodeState_NODE_REMOVED
	if got := w.texts(); len(got) == 0 || !strings.HasPrefix(got[0], "1 replace-removed (n1 was removed from the cluster; n4 takes over)") {
		t.Fatal(got)
	}
}

// Of three nodes one that is dead keeps its replicas, since there is no other
// place; one that is removed does not.
func TestNoSpareNode(t *testing.T) {
	w := newWorld(3, 1, 64<<20, on(1, 2, 3))
	w.Settings.BalanceOff = true
	w.Kill(3)
	w.Now = w.Now.Add(time.Hour)
	w.expect(t)
	if got := plan.Make(w.View()); got.UnderReplicated != 3 || got.WithoutLeader != 0 {
		t.Error(got)
	}
	w.Nodes[2].Record.State = pontoonpb.NodeState_NODE_REMOVED
	got := w.texts()
	if len(got) != 3 || got[2] != "3 replace-removed (n3 was removed from the cluster; 2 other replicas are enough): "+
		"take the vote of n3; remove the replica on n3" {
		t.Fatal(strings.Join(got, "\n"))
	}
	// Without a quorum nothing can be changed, whoever may still seem to lead.
	w.Nodes[1].Live = false
	w.expect(t)
	w.Kill(2)
	w.expect(t)
	if got := plan.Make(w.View()); got.WithoutLeader == 0 {
		t.Error("no leader is missed")
	}
}

// A node that said that it stops is given no leadership, and keeps its replicas.
func TestStoppingNodeLeadsNothingNew(t *testing.T) {
	w := newWorld(3, 6, 64<<20, on(1, 2, 3)) // all led by n1
	to := func(node string) (n int) {
		for _, line := range w.texts() {
			if strings.Contains(line, "make "+node+" lead") {
				n++
			}
		}
		return n
	}
	if to("n2") == 0 || to("n3") == 0 {
		t.Fatal("not balanced: ", w.texts())
	}
	w.Nodes[1].Stopping = true
	if to("n2") != 0 || to("n3") == 0 {
		t.Error(strings.Join(w.texts(), "\n"))
	}
	w.drain(1) // its leaderships go to the other one
	if to("n2") != 0 || to("n3") == 0 {
		t.Error(strings.Join(w.texts(), "\n"))
	}
}

func TestUnderReplicated(t *testing.T) {
	w := newWorld(2, 1, 64<<20, on(1))
	w.Settings.BalanceOff = true
	got := w.texts()
	// Two nodes both hold the data: it survives the loss of a disk.
	if len(got) != 2 || got[0] != "1 add-replica (1 of 2 replicas): add a replica of range 1 without a vote on n2; "+
		"send the data to n2; give n2 a vote" {
		t.Fatal(strings.Join(got, "\n"))
	}
	// Four replicas survive no more than three.
	w = newWorld(4, 1, 64<<20, on(1, 2, 3))
	w.Settings.BalanceOff, w.Settings.ReplicationFactor, w.Settings.RootReplicationFactor = true, 5, 5
	w.expect(t)
	// The root range has five from five nodes on.
	w = newWorld(5, 1, 64<<20, on(1, 2, 3))
	w.Settings.BalanceOff = true
	if got := w.texts(); len(got) != 1 || !strings.HasPrefix(got[0], "1 add-replica (3 of 5 replicas)") {
		t.Fatal(got)
	}
}

// I3: repair of the root range goes before all others, repair before balance.
func TestI3Order(t *testing.T) {
	w := newWorld(4, 6, 64<<20, func(i int) []uint64 {
		if i == 7 {
			return []uint64{1, 3, 4}
		}
		return []uint64{1, 2, 3}
	})
	w.role(1, 4, pontoonpb.ReplicaRole_REPLICA_LEARNER)
	w.role(1, 3, pontoonpb.ReplicaRole_REPLICA_LEARNER)
	w.drain(2)
	w.Settings.MovesPerNode = 20
	got := w.texts()
	if len(got) < 4 || !strings.HasPrefix(got[0], "1 finish-move") || !strings.Contains(got[1], " drain ") ||
		!strings.Contains(got[len(got)-1], "balance") {
		t.Fatal(strings.Join(got, "\n"))
	}
	seen := 0
	for _, g := range got {
		if strings.Contains(g, "balance") {
			seen++
		} else if seen > 0 {
			t.Error("after balance:", g)
		}
	}
}

// I3: the root range gets the only slot although others are worse off.
func TestI3RootFirst(t *testing.T) {
	w := newWorld(5, 3, 64<<20, on(1, 2, 3))
	w.Settings.BalanceOff, w.Settings.MovesPerNode, w.Settings.RootReplicationFactor = true, 1, 5
	w.Nodes[1].Record.State = pontoonpb.NodeState_NODE_REMOVED
	w.Range(1).Status.Desc.Replicas = []*pontoonpb.Replica{{NodeId: 1, ReplicaId: 1}, {NodeId: 3, ReplicaId: 3}}
	w.Kill(4)
	if got := w.texts(); len(got) != 1 || !strings.HasPrefix(got[0], "1 ") {
		t.Fatal(strings.Join(got, "\n"))
	}
	w.Settings.MovesPerNode = 10
	if got := w.texts(); len(got) < 4 || !strings.HasPrefix(got[0], "1 ") || !strings.Contains(got[1], "replace-removed") {
		t.Fatal(strings.Join(got, "\n"))
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(4, 1, 64<<20, on(1, 2, 3))
	w.drain(1)
	w.expect(t,
		"1 drain-leader (n1 is draining): make n2 lead range 1",
		"2 drain-leader (n1 is draining): make n3 lead range 2",
		"3 drain-leader (n1 is draining): make n2 lead range 3")
	for _, r := range w.Ranges {
		r.Status.LeaderNode = 2
	}
	w.Settings.BalanceOff = true
	w.Settings.MovesPerNode = 2
	got := w.texts()
	if len(got) != 2 || got[0] != "1 drain (n1 is draining; n4 takes over): add a replica of range 1 without a vote on n4; "+
		"send the data to n4; give n4 the vote of n1; remove the replica on n1" {
		t.Fatal("I5:", strings.Join(got, "\n"))
	}
	// With three nodes left of three there is nowhere to go: two replicas are
	// enough then.
	w = newWorld(3, 1, 64<<20, on(2, 1, 3))
	w.Settings.BalanceOff = true
	w.drain(1)
	if got := w.texts(); len(got) != 3 || got[2] != "3 drain (n1 is draining; 2 other replicas are enough): "+
		"take the vote of n1; remove the replica on n1" {
		t.Fatal(strings.Join(got, "\n"))
	}
	// All leave: nothing is given up.
	w.drain(2)
	w.drain(3)
	w.expect(t)
}

// A drain that has nowhere to go since a node that does not answer still counts
// says so, and goes on once that node is removed or there is another.
func TestBlockedDrain(t *testing.T) {
	w := newWorld(4, 1, 64<<20, on(2, 3, 4))
	w.Settings.BalanceOff = true
	w.Kill(1)
	w.Now = w.Now.Add(time.Minute)
	w.drain(4)
	w.expect(t)
	const want = "n4 is draining; n1 does not answer but counts as one of the 3 nodes that should hold replicas: " +
		"bring it back or remove it, or add a node"
	got := plan.Make(w.View()).Blocked
	if len(got) != 1 || got[0].Kind != operator.Drain || got[0].Node != 4 || got[0].Range != 1 || got[0].Ranges != 3 || got[0].Reason != want {
		t.Fatalf("got  %+v\nwant %s", got, want)
	}
	w.Nodes[0].Record.State = pontoonpb.NodeState_NODE_REMOVED
	if got := plan.Make(w.View()); len(got.Operators) == 0 || len(got.Blocked) != 0 || got.Operators[0].Kind != operator.Drain {
		t.Errorf("the node is removed: %+v", got)
	}
	w.Nodes[0].Record.State = pontoonpb.NodeState_NODE_ACTIVE
	w.Nodes[0].Live = true
	if got := plan.Make(w.View()); len(got.Operators) == 0 || len(got.Blocked) != 0 {
		t.Errorf("the node is back: %+v", got)
	}
}

// Who only waits for its turn is not blocked.
func TestBusyIsNotBlocked(t *testing.T) {
	w := newWorld(4, 8, 64<<20, on(2, 3, 4))
	w.Settings.BalanceOff = true
	w.Settings.MovesPerNode = 1
	w.drain(4)
	if got := plan.Make(w.View()); len(got.Operators) == 0 || len(got.Blocked) != 0 {
		t.Errorf("%+v", got)
	}
}

// A full disk is named.
func TestBlockedByRoom(t *testing.T) {
	w := newWorld(4, 1, 64<<20, on(2, 3, 4))
	w.Settings.BalanceOff = true
	w.drain(4)
	v := w.View()
	v.Nodes[0].DiskTotal, v.Nodes[0].DiskFree = 100<<30, 1<<30
	if got := plan.Make(v).Blocked; len(got) != 1 || got[0].Reason != "n4 is draining; n1 has not enough room, or add a node" {
		t.Errorf("%+v", got)
	}
}

// I2: a learner member holds nothing, nor does a full disk get anything.
func TestI2Targets(t *testing.T) {
	w := newWorld(6, 1, 64<<20, on(1, 2))
	w.Settings.BalanceOff = true
	w.Nodes[2].Record.Learner = true
	w.Nodes[3].Record.State = pontoonpb.NodeState_NODE_DRAINING
	w.Kill(5)
	v := w.View()
	v.Nodes[5].DiskTotal, v.Nodes[5].DiskFree = 100<<30, 1<<30
	if got := plan.Make(v).Operators; len(got) != 0 {
		t.Fatal(text(v, got[0]))
	}
	v.Nodes[5].DiskFree = 50 << 30
	if got := plan.Make(v).Operators; len(got) == 0 || got[0].Steps[0].Node != 6 {
		t.Fatal(got)
	}
	// Nor does one with less room than the range needs.
	v.Nodes[5].DiskTotal, v.Nodes[5].DiskFree = 1<<30, 100<<20
	for _, o := range plan.Make(v).Operators {
		if o.Range == 3 {
			t.Fatal(text(v, o))
		}
	}
	w = newWorld(4, 1, 64<<20, on(1, 2, 3))
	w.Settings.BalanceOff = true
	w.Nodes[1].Record.Learner = true
	if got := w.texts(); len(got) != 2 || !strings.HasPrefix(got[0], "1 drain (n2 is a learner member; n4 takes over)") {
		t.Fatal(strings.Join(got, "\n"))
	}
}

func TestOverReplicatedAndLeftovers(t *testing.T) {
	w := newWorld(4, 1, 64<<20, on(1, 2, 3, 4))
	w.Settings.BalanceOff = true
	if got := w.texts(); len(got) != 3 || got[2] != "3 remove-replica (4 replicas, 3 are wanted): "+
		"take the vote of n4; remove the replica on n4" {
		t.Fatal(strings.Join(got, "\n"))
	}
	w.Kill(3)
	if got := w.texts(); len(got) != 3 || !strings.HasSuffix(got[0], "take the vote of n3; remove the replica on n3") {
		t.Fatal("not the one that does not answer:", strings.Join(got, "\n"))
	}
	w = newWorld(4, 1, 64<<20, on(1, 2, 3))
	w.Settings.BalanceOff = true
	w.role(3, 4, pontoonpb.ReplicaRole_REPLICA_LEARNER)
	w.expect(t, "3 clean-learner (a move left a replica without a vote on n4): remove the replica on n4")
	// Where a replica is missing the learner is taken.
	w.role(3, 3, pontoonpb.ReplicaRole_REPLICA_LEARNER)
	w.expect(t, "3 finish-move (2 of 3 replicas vote, the one on n3 does not yet): send the data to n3; give n3 a vote")
	// I1: between two configurations the leader goes on by itself.
	w.role(3, 3, pontoonpb.ReplicaRole_REPLICA_INCOMING)
	w.expect(t)
}

func TestSpread(t *testing.T) {
	w := newWorld(5, 1, 64<<20, on(1, 2, 3))
	w.Settings.RootReplicationFactor = 3
	for i, z := range []string{"a", "a", "b", "b", "c"} {
		w.Nodes[i].Record.Locality = zone(z)
	}
	got := w.texts()
	if len(got) < 2 || got[0] != "1 spread (n1 (region=r,zone=a) shares more with n2 (region=r,zone=a) than n5 (region=r,zone=c) would): "+
		"add a replica of range 1 without a vote on n5; send the data to n5; move the leadership of range 1 away from n1; "+
		"give n5 the vote of n1; remove the replica on n1" {
		t.Fatal(strings.Join(got, "\n"))
	}
	w.Settings.BalanceOff = true
	w.expect(t)
	// A new replica goes where it shares least, though it is fuller there.
	w = newWorld(4, 1, 64<<20, on(1, 3))
	w.Settings.BalanceOff = true
	for i, z := range []string{"a", "a", "b", "c"} {
		w.Nodes[i].Record.Locality = zone(z)
	}
	if got := w.texts(); len(got) == 0 || !strings.Contains(got[0], "on n4") {
		t.Fatal(got)
	}
}

func TestSplit(t *testing.T) {
	w := balanced()
	w.Range(3).Status.SizeBytes = 300 << 20
	w.Range(4).SetLoad(3000)
	w.Range(1).SetLoad(4000) // I6
	w.Range(1).Status.SizeBytes = 1 << 30
	w.Settings.BalanceOff = true
	w.expect(t, "3 split-size (300 MiB, the limit is 256 MiB): split range 3",
		"4 split-load (busy 75 % of the time, the limit is 50 %; 3000 requests/s): split range 4")
	w.Settings.SplitBusy = -1
	if got := w.texts(); len(got) != 1 {
		t.Fatal(got)
	}
}

func TestMerge(t *testing.T) {
	w := newWorld(4, 3, 10<<20, func(i int) []uint64 {
		if i == 4 {
			return []uint64{4, 2, 3}
		}
		return []uint64{1, 2, 3}
	})
	w.Settings.BalanceOff = true
	w.expect(t)
	w.Now = w.Now.Add(6 * time.Minute)
	// I6: neither the root nor the lease range joins in, nor a range twice.
	w.expect(t, "3 merge (with range 4 20 MiB and 0.0 requests/s together, below 64 MiB and 10.0): merge range 4 into range 3")
	w.Range(3).SetLoad(11)
	w.expect(t, "4 merge (with range 5 20 MiB and 0.0 requests/s together, below 64 MiB and 10.0): "+
		"add a replica of range 5 without a vote on n1; send the data to n1; move the leadership of range 5 away from n4; "+
		"give n1 the vote of n4; remove the replica on n4; merge range 5 into range 4")
	w.Range(4).Status.SizeBytes = 60 << 20
	w.expect(t)
	w.Range(4).Status.SizeBytes = 1
	w.Settings.RangeMergeBytes = -1
	w.expect(t)
}

func TestBalanceLeaders(t *testing.T) {
	sets := [][]uint64{{1, 2, 3}, {1, 3, 2}, {1, 2, 3}, {2, 3, 1}, {2, 1, 3}}
	w := newWorld(3, 3, 64<<20, func(i int) []uint64 { return sets[i] })
	w.expect(t, "2 balance-leader (n1 leads 3 ranges, n3 0): make n3 lead range 2") // never the root's
	// A chain: n1 shares no range with n3 that it leads.
	sets = [][]uint64{{1, 2}, {1, 2}, {1, 2}, {2, 3}, {2, 3}}
	w = newWorld(3, 3, 64<<20, func(i int) []uint64 { return sets[i] })
	v := w.View()
	v.Settings.ReplicationFactor, v.Settings.RootReplicationFactor = 2, 2
	var got []string
	for _, o := range plan.Make(v).Operators {
		if o.Kind == operator.BalanceLeader {
			got = append(got, text(v, o))
		}
	}
	if strings.Join(got, "\n") != "2 balance-leader (n1 leads 3 ranges, n3 0): make n2 lead range 2\n"+
		"4 balance-leader (n1 leads 3 ranges, n3 0): make n3 lead range 4" {
		t.Fatal(strings.Join(got, "\n"))
	}
}

func TestBalanceSize(t *testing.T) {
	w := newWorld(4, 8, 64<<20, func(i int) []uint64 { return []uint64{uint64(1 + i%3), uint64(1 + (i+1)%3), uint64(1 + (i+2)%3)} })
	got := w.texts()
	if len(got) != 2 || got[0] != "2 balance-size (n1 holds 10 replicas of 514 MiB, n4 0 replicas of 0 KiB): add a replica of range 2 without a vote on n4; "+
		"send the data to n4; give n4 the vote of n1; remove the replica on n1" {
		t.Fatal(strings.Join(got, "\n"))
	}
	w.Settings.BalanceOff = true
	w.expect(t)
}

func TestBalanceLoad(t *testing.T) {
	sets := [][]uint64{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}
	w := newWorld(3, 7, 64<<20, func(i int) []uint64 { return sets[i%3] })
	w.Settings.SplitBusy = -1
	w.Range(4).SetLoad(1000)
	w.expect(t) // it is all there is: moving it changes nothing
	w.Range(7).SetLoad(500)
	w.expect(t, "4 balance-load (n1 serves 1500 requests/s, n2 0; range 4 1000): make n2 lead range 4",
		"2 balance-load (n1 serves 1500 requests/s, n2 0; range 4 1000, in exchange): make n1 lead range 2")
	w.Range(1).SetLoad(3000) // the root stays where it is
	if got := w.texts(); len(got) == 0 || strings.HasPrefix(got[0], "1 ") {
		t.Fatal(got)
	}
	w.Settings.BalanceOff = true
	w.expect(t)
	// Where no replica is elsewhere, the data goes, and then leads there.
	w = newWorld(2, 4, 64<<20, func(i int) []uint64 { return []uint64{uint64(1 + i%2)} })
	w.Settings.SplitBusy, w.Settings.ReplicationFactor, w.Settings.RootReplicationFactor = -1, 1, 1
	w.Range(3).SetLoad(1000)
	w.Range(5).SetLoad(700)
	w.expect(t, "3 balance-load (n1 serves 1700 requests/s, n2 0; range 3 1000): add a replica of range 3 without a vote on n2; "+
		"send the data to n2; give n2 the vote of n1; remove the replica on n1; make n2 lead range 3",
		"2 balance-size (n2 holds 4 replicas of 193 MiB, n1 2 replicas of 65 MiB): add a replica of range 2 without a vote on n1; "+
			"send the data to n1; give n1 the vote of n2; remove the replica on n2")
}
