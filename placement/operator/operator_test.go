package operator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/placement/simulation"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const user = proto.RangeID(3)

func cluster(nodes int, on ...uint64) *simulation.Cluster {
	c := simulation.NewCluster(nodes)
	c.Fill(2, 640<<20, func(int) []uint64 { return on })
	return c
}

func move(r proto.RangeID, from, to proto.NodeID) []operator.Step {
	return []operator.Step{
		{Kind: operator.AddLearner, Range: r, Node: to}, {Kind: operator.WaitCaughtUp, Range: r, Node: to},
		{Kind: operator.Swap, Range: r, Node: to, Old: from}, {Kind: operator.RemoveLearner, Range: r, Node: from},
	}
}

// fault meddles with one operation: whether it runs, and what is answered.
type fault func(op *pontoonpb.RangeOp) (runs bool, err error)

// drive steps the operator on the cluster, a second at a time.
func drive(t *testing.T, c *simulation.Cluster, o *operator.Operator, f fault) (sent []*pontoonpb.RangeOp) {
	t.Helper()
	for range 10_000 {
		switch a := o.Next(c.Status(o.Current()), c.Now); a.Do {
		case operator.End:
			if len(c.Broken) > 0 {
				t.Fatal(c.Broken)
			}
			return sent
		case operator.Wait:
			c.Now = c.Now.Add(time.Second)
		case operator.NeedID:
			o.Allocated(proto.RangeID(c.NextID()), nil, c.Now)
		case operator.Send:
			sent = append(sent, a.Op)
			runs, err := true, error(nil)
			if f != nil {
				runs, err = f(a.Op)
			}
			reply := &pontoonpb.RangeReply{}
			if runs {
				reply = c.Do(a.Op)
			}
			o.Answered(reply, err, c.Now)
		}
	}
	t.Fatal("operator does not end (I4)")
	return nil
}

func nodes(c *simulation.Cluster, id proto.RangeID) []uint64 {
	var list []uint64
	for _, r := range c.Range(id).Status.Desc.Replicas {
		if r.Role == pontoonpb.ReplicaRole_REPLICA_VOTER {
			list = append(list, r.NodeId)
		} else {
			list = append(list, 100*r.NodeId)
		}
	}
	slices.Sort(list)
	return list
}

func expect(t *testing.T, o *operator.Operator, state operator.State, err string) {
	t.Helper()
	if o.State() != state || !strings.Contains(o.Err(), err) {
		t.Errorf("%s %q, want %s %q", o.State(), o.Err(), state, err)
	}
}

func TestMove(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	o := &operator.Operator{Range: user, Kind: operator.Move, Steps: move(user, 1, 4)} // 1 leads
	var progress []float64
	drive(t, c, o, func(*pontoonpb.RangeOp) (bool, error) {
		st := o.Status(func(proto.NodeID) string { return "x" }, c.Now)
		progress = append(progress, st.Progress)
		return true, nil
	})
	expect(t, o, operator.Done, "")
	if got := nodes(c, user); !slices.Equal(got, []uint64{2, 3, 4}) {
		t.Error(got)
	}
	st := o.Status(func(proto.NodeID) string { return "x" }, c.Now)
	if !slices.IsSorted(progress) || st.Progress != 1 || st.BytesTotal != 640<<20 || st.BytesDone != st.BytesTotal {
		t.Error(progress, st)
	}
	if c.Now.Sub(time.UnixMilli(st.StartedUnixMillis)) < 9*time.Second {
		t.Error("did not wait for the data")
	}
}

// Half-way the status tells bytes and how long it takes still.
func TestProgress(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	o := &operator.Operator{Range: user, Kind: operator.Move, Steps: move(user, 1, 4)}
	o.Answered(c.Do(o.Next(c.Status(user), c.Now).Op), nil, c.Now)
	for range 5 {
		if a := o.Next(c.Status(user), c.Now); a.Do != operator.Wait {
			t.Fatal(a)
		}
		c.Now = c.Now.Add(time.Second)
	}
	o.Next(c.Status(user), c.Now)
	st := o.Status(func(id proto.NodeID) string { return string('a' - 1 + rune(id)) }, c.Now)
	if st.BytesDone != 320<<20 || st.EtaSeconds != 5 || st.Progress < 0.4 || st.Progress > 0.6 || st.State != "running" {
		t.Error(st)
	}
	if !st.Steps[0].Done || st.Steps[1].Done || st.Steps[1].Text != "send the data to d" || st.Steps[2].Text != "give d the vote of a" {
		t.Error(st.Steps)
	}
}

// I1: whether an operation whose answer was lost took effect or not, the range
// tells, and the move comes to the same end.
func TestI1Ambiguous(t *testing.T) {
	lost := proto.Errorf(pontoonpb.RangeErrorCode_AMBIGUOUS, "connection broke")
	for _, runs := range []bool{true, false} {
		c := cluster(4, 1, 2, 3)
		o := &operator.Operator{Range: user, Kind: operator.Move, Steps: move(user, 1, 4)}
		n := 0
		sent := drive(t, c, o, func(*pontoonpb.RangeOp) (bool, error) {
			if n++; n%2 == 1 {
				return runs, lost
			}
			return true, nil
		})
		expect(t, o, operator.Done, "")
		if got := nodes(c, user); !slices.Equal(got, []uint64{2, 3, 4}) {
			t.Error(got)
		}
		if runs && len(sent) != 4 {
			t.Errorf("%d operations, though each took effect: %v", len(sent), sent)
		}
	}
}

// I1: a change that was decided under another generation is refused, and
// decided again under the new one.
func TestI1StaleGeneration(t *testing.T) {
	c := cluster(5, 1, 2, 3)
	o := &operator.Operator{Range: user, Kind: operator.Move, Steps: move(user, 2, 4)}
	meddled := false
	sent := drive(t, c, o, func(op *pontoonpb.RangeOp) (bool, error) {
		if change := op.GetChangeReplicas(); change != nil && !meddled {
			meddled = true
			other := &pontoonpb.ChangeReplicasOp{Generation: change.Generation,
				Steps: []*pontoonpb.ReplicaStep{{Kind: pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER, NodeId: 5}}}
			if reply := c.Do(&pontoonpb.RangeOp{RangeId: op.RangeId, Op: &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: other}}); reply.Error != nil {
				t.Fatal(reply.Error)
			}
		}
		return true, nil
	})
	expect(t, o, operator.Done, "")
	if got := nodes(c, user); !slices.Equal(got, []uint64{1, 3, 4, 500}) || len(sent) != 4 {
		t.Error(got, len(sent))
	}
	for i, op := range sent[1:] {
		if op.GetChangeReplicas().Generation <= sent[i].GetChangeReplicas().Generation {
			t.Error("the same generation was named again")
		}
	}
}

// A leadership that comes back to the node that loses its vote is moved again.
func TestLeaderComesBack(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	o := &operator.Operator{Range: user, Kind: operator.Move, Steps: move(user, 1, 4)}
	back := 0
	drive(t, c, o, func(op *pontoonpb.RangeOp) (bool, error) {
		if ch := op.GetChangeReplicas(); ch != nil && len(ch.Steps) == 2 && back < 2 {
			back++
			c.Range(user).Status.LeaderNode = 1
			return false, proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "leader moved")
		}
		return true, nil
	})
	expect(t, o, operator.Done, "")
	if back != 2 || c.Range(user).Status.LeaderNode == 1 {
		t.Error(back, c.Range(user).Status.LeaderNode)
	}
}

// I2: the only voter gives its vote up after another one has one, never before.
func TestI2OnlyVoter(t *testing.T) {
	c := cluster(2, 1)
	o := &operator.Operator{Range: user, Kind: operator.Move, Steps: move(user, 1, 2)}
	drive(t, c, o, nil)
	expect(t, o, operator.Done, "")
	if got := nodes(c, user); !slices.Equal(got, []uint64{2}) || c.Range(user).Status.LeaderNode != 2 {
		t.Error(got)
	}
	o = &operator.Operator{Range: user, Steps: []operator.Step{{Kind: operator.Demote, Range: user, Node: 2}}}
	drive(t, c, o, nil)
	expect(t, o, operator.Failed, "last replica with a vote")
}

// I4: an operator ends when its range has no leader, its data stops to flow or
// its operation is refused for ever; data that flows keeps it.
func TestI4Ends(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	c.Kill(2)
	c.Kill(3)
	o := &operator.Operator{Range: user, Steps: move(user, 3, 4)}
	c.Range(user).Status.LeaderNode = 0
	drive(t, c, o, nil)
	expect(t, o, operator.TimedOut, "no leader")

	c = cluster(4, 1, 2, 3)
	c.Settings.SnapshotBytesPerSecond = 1 << 20 // ten minutes
	o = &operator.Operator{Range: user, Steps: move(user, 3, 4)}
	drive(t, c, o, nil)
	expect(t, o, operator.Done, "")

	c = cluster(4, 1, 2, 3)
	o = &operator.Operator{Range: user, Steps: move(user, 3, 4)}
	drive(t, c, o, func(op *pontoonpb.RangeOp) (bool, error) {
		return false, proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "not now")
	})
	expect(t, o, operator.TimedOut, "not now")

	c = cluster(4, 1, 2, 3)
	o = &operator.Operator{Range: user, Steps: move(user, 3, 4)}
	for range 3 {
		if a := o.Next(c.Status(user), c.Now); a.Op != nil {
			o.Answered(c.Do(a.Op), nil, c.Now)
		}
		if o.Next(c.Status(user), c.Now).Do != operator.Wait {
			t.Fatal("waits for data")
		}
		c.Now = c.Now.Add(50 * time.Second)
		c.Kill(4) // what it got it has, but it does not answer
	}
	drive(t, c, o, nil)
	expect(t, o, operator.TimedOut, "no progress")
}

// A learner that somebody removes meanwhile fails the move at once.
func TestLearnerTaken(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	o := &operator.Operator{Range: user, Steps: move(user, 3, 4)}
	o.Answered(c.Do(o.Next(c.Status(user), c.Now).Op), nil, c.Now)
	o.Next(c.Status(user), c.Now)
	c.Do(&pontoonpb.RangeOp{RangeId: uint64(user), Op: &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: &pontoonpb.ChangeReplicasOp{
		Generation: 2, Steps: []*pontoonpb.ReplicaStep{{Kind: pontoonpb.ReplicaStepKind_REPLICA_REMOVE, NodeId: 4}}}}})
	drive(t, c, o, nil)
	expect(t, o, operator.Failed, "removed meanwhile")
}

// Between two configurations nothing is sent: the leader leaves it by itself.
func TestJointWaits(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	c.Range(user).Status.Desc.Replicas[2].Role = pontoonpb.ReplicaRole_REPLICA_OUTGOING
	o := &operator.Operator{Range: user, Steps: move(user, 3, 4)}
	if a := o.Next(c.Status(user), c.Now); a.Do != operator.Wait {
		t.Fatal(a)
	}
}

func TestLeaderSteps(t *testing.T) {
	c := cluster(4, 1, 2, 3)
	o := &operator.Operator{Range: user, Steps: []operator.Step{{Kind: operator.TransferLeader, Range: user, Node: 2}}}
	drive(t, c, o, nil)
	expect(t, o, operator.Done, "")
	o = &operator.Operator{Range: user, Steps: []operator.Step{{Kind: operator.TransferLeader, Range: user, Node: 4}}}
	drive(t, c, o, nil)
	expect(t, o, operator.Failed, "no vote")
	c.Kill(1)
	o = &operator.Operator{Range: user, Steps: []operator.Step{{Kind: operator.LeaveLeader, Range: user, Node: 2}}}
	drive(t, c, o, nil)
	expect(t, o, operator.Done, "")
	if got := c.Range(user).Status.LeaderNode; got != 3 {
		t.Errorf("%d leads: the one that is down was chosen", got)
	}
}

func TestSplit(t *testing.T) {
	step := []operator.Step{{Kind: operator.SplitAt, Range: user, By: pontoonpb.SplitBy_SPLIT_BY_LOAD}}
	for _, runs := range []bool{true, false} {
		c := cluster(3, 1, 2, 3)
		o := &operator.Operator{Range: user, Steps: step}
		n := 0
		drive(t, c, o, func(op *pontoonpb.RangeOp) (bool, error) {
			if n++; op.GetSplit() != nil && n == 2 {
				return runs, errors.New("lost")
			}
			return true, nil
		})
		expect(t, o, operator.Done, "")
		if len(c.Ranges) != 5 {
			t.Errorf("%d ranges", len(c.Ranges))
		}
	}
	c := cluster(3, 1, 2, 3)
	c.Range(user).OneKey = true
	o := &operator.Operator{Range: user, Steps: step}
	drive(t, c, o, nil)
	expect(t, o, operator.Failed, "no key halves the range")
}

// A merge of ranges that lie apart moves the replicas first, of the other range.
func TestMerge(t *testing.T) {
	c := simulation.NewCluster(4)
	c.Fill(2, 1<<20, func(i int) []uint64 {
		if i == 3 {
			return []uint64{4, 2, 3}
		}
		return []uint64{1, 2, 3}
	})
	o := &operator.Operator{Range: 3, Kind: operator.MergeCold, Steps: append(move(4, 4, 1),
		operator.Step{Kind: operator.MergeRight, Range: 3, Right: 4, Key: c.Range(4).Status.Desc.Span.Start})}
	drive(t, c, o, nil)
	expect(t, o, operator.Done, "")
	if len(c.Ranges) != 3 || !slices.Equal(o.Ranges(), []proto.RangeID{3, 4}) {
		t.Error(len(c.Ranges), o.Ranges())
	}
	refused := &operator.Operator{Range: 2, Steps: []operator.Step{
		{Kind: operator.MergeRight, Range: 2, Right: 9, Key: c.Range(3).Status.Desc.Span.Start}}}
	drive(t, c, refused, nil)
	expect(t, refused, operator.Failed, "not the right neighbour")
}

// I3, I5: a busy range takes no other operator; a failure makes its class rest,
// longer each time, and success forgets it.
func TestI3I5Set(t *testing.T) {
	s, now := operator.NewSet(3), time.Unix(1000, 0)
	s.Renew(50)
	run := func(kind operator.Kind, ranges ...proto.RangeID) *operator.Operator {
		o := &operator.Operator{Range: ranges[0], Kind: kind}
		for _, r := range ranges {
			o.Steps = append(o.Steps, operator.Step{Kind: operator.SplitAt, Range: r})
		}
		return o
	}
	a := run(operator.MergeCold, 3, 4)
	if !s.Admit(a) || s.Admit(run(operator.SplitSize, 4)) || s.Of(4) != a || s.Find(51) != a || len(s.Running()) != 1 {
		t.Fatal("I3")
	}
	a.Cancel("by hand", now)
	s.Retire(a)
	if !s.Rests(now)[4].Resting(operator.Merge, now) || s.Rests(now)[4].Resting(operator.Split, now) {
		t.Error("canceled: comes back at once")
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}
	for i, rest := range append(want, 0) {
		o := run(operator.SplitLoad, 7)
		if !s.Admit(o) {
			t.Fatal("not admitted")
		}
		o.Next(&pontoonpb.RangeStatus{Desc: &pontoonpb.Descriptor{RangeId: 7}, LeaderNode: 1}, now)
		if i < len(want) {
			o.Answered(&pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SplitPoint{SplitPoint: &pontoonpb.SplitPointReply{}}}, nil, now)
		} else {
			o.Answered(&pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SplitPoint{SplitPoint: &pontoonpb.SplitPointReply{Key: []byte("m")}}}, nil, now)
			done := &pontoonpb.Descriptor{RangeId: 7, Span: &pontoonpb.Span{Start: []byte("a"), End: []byte("m")}}
			o.Next(&pontoonpb.RangeStatus{Desc: done, LeaderNode: 1}, now)
		}
		s.Retire(o)
		r := s.Rests(now)[7]
		if rest > 0 && (!r.Resting(operator.Split, now.Add(rest-1)) || r.Resting(operator.Split, now.Add(rest))) {
			t.Errorf("failure %d rests %v", i, r)
		}
		now = now.Add(rest)
	}
	if _, rests := s.Rests(now)[7]; rests || len(s.EndedOnes()) != 3 {
		t.Error("success does not forget, or too many are kept")
	}
	s.Admit(run(operator.SplitLoad, 9))
	s.Drop()
	if len(s.Running()) != 0 || !s.Admit(run(operator.SplitLoad, 9)) {
		t.Error("dropped ones stay")
	}
}
