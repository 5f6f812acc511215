package driver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/placement/simulation"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// ports are the driver's ports on a simulated cluster whose clock is the
// test's.
type ports struct {
	mu      sync.Mutex
	c       *simulation.Cluster
	leading bool
	mute    map[proto.NodeID]bool // does not report
	ops     int                   // changes sent
	fail    func(*pontoonpb.RangeOp) error
}

func newPorts(nodes, ranges int, on ...uint64) *ports {
	p := &ports{c: simulation.NewCluster(nodes), leading: true, mute: map[proto.NodeID]bool{}}
	p.c.Now = time.Now()
	p.c.Fill(ranges, 64<<20, func(int) []uint64 { return on })
	return p
}

func (p *ports) lock() func() {
	p.mu.Lock()
	p.c.Now = time.Now()
	return p.mu.Unlock
}

func (p *ports) Reports(_ context.Context, node proto.NodeID, _, _ uint64) (*pontoonpb.ReportReply, error) {
	defer p.lock()()
	if p.mute[node] {
		return nil, errors.New("mute")
	}
	r := &pontoonpb.ReportReply{NodeId: uint64(node), DiskFreeBytes: 1 << 40, DiskTotalBytes: 1 << 40}
	for _, g := range p.c.Ranges {
		if g.Status.LeaderNode == uint64(node) {
			r.Led = append(r.Led, p.seen(proto.RangeID(g.Status.Desc.RangeId)))
		}
	}
	return r, nil
}

// seen is a copy of what the leader says, which the driver may keep.
func (p *ports) seen(id proto.RangeID) *pontoonpb.RangeStatus {
	st := p.c.Status(id)
	if st == nil {
		return nil
	}
	b, err := st.MarshalVT()
	if err != nil {
		panic(err)
	}
	c := &pontoonpb.RangeStatus{}
	if err := c.UnmarshalVT(b); err != nil {
		panic(err)
	}
	return c
}

func (p *ports) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	defer p.lock()()
	p.ops++
	if p.fail != nil {
		if err := p.fail(op); err != nil {
			return nil, err
		}
	}
	reply := p.c.Do(op)
	return reply, proto.FromWire(reply.Error)
}

func (p *ports) Call(_ context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	defer p.lock()()
	st := p.seen(proto.RangeID(op.RangeId))
	if st == nil {
		return nil, errors.New("no leader")
	}
	if uint64(node) != st.LeaderNode {
		st.Progress = nil
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Status{Status: st}}, nil
}

func (p *ports) Nodes(context.Context) ([]*pontoonpb.NodeRecord, error) {
	defer p.lock()()
	var list []*pontoonpb.NodeRecord
	for _, n := range p.c.Nodes {
		list = append(list, gproto.Clone(n.Record).(*pontoonpb.NodeRecord))
	}
	return list, nil
}

func (p *ports) Settings(context.Context) (*pontoonpb.Settings, error) {
	defer p.lock()()
	return gproto.Clone(p.c.Settings).(*pontoonpb.Settings), nil
}

func (p *ports) Live(node proto.NodeID) bool {
	defer p.lock()()
	return p.c.Nodes[node-1].Live
}

func (p *ports) Stopping(node proto.NodeID) bool {
	defer p.lock()()
	return p.c.Nodes[node-1].Stopping
}

func (p *ports) AllocRangeID(context.Context) (proto.RangeID, error) {
	defer p.lock()()
	return proto.RangeID(p.c.NextID()), nil
}

func (p *ports) Leading() bool {
	defer p.lock()()
	return p.leading
}

func (p *ports) Leader() proto.NodeID { return 7 }

func (p *ports) set(f func()) {
	defer p.lock()()
	f()
}

// sent counts the changes that were sent.
func (p *ports) sent() int {
	defer p.lock()()
	return p.ops
}

// ranges counts the ranges.
func (p *ports) ranges() int {
	defer p.lock()()
	return len(p.c.Ranges)
}

func (p *ports) driver(t *testing.T) *Driver {
	t.Helper()
	d, err := New(Options{
		ClusterID: 5, Reports: p, Sender: p, Transport: p, Roster: p, Liveness: p, Ranges: p, Root: p,
		Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	return d
}

// replicas writes where the voters of a range are; learners in brackets.
func (p *ports) replicas(id proto.RangeID) string {
	defer p.lock()()
	var b strings.Builder
	for _, n := range p.c.Nodes {
		for _, r := range p.c.Range(id).Status.Desc.Replicas {
			if r.NodeId == n.Record.NodeId && r.Role == pontoonpb.ReplicaRole_REPLICA_VOTER {
				b.WriteString(n.Record.Name)
			} else if r.NodeId == n.Record.NodeId {
				b.WriteString("[" + n.Record.Name + "]")
			}
		}
	}
	return b.String()
}

func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var v dto.Metric
	if err := m.Write(&v); err != nil {
		t.Fatal(err)
	}
	return v.GetCounter().GetValue() + v.GetGauge().GetValue()
}

func list(ended bool) *pontoonpb.PlaceRequest {
	return &pontoonpb.PlaceRequest{ClusterId: 5, Request: &pontoonpb.PlaceRequest_List{List: &pontoonpb.ListOperators{Ended: ended}}}
}

func move(id, from, to uint64) *pontoonpb.PlaceRequest {
	return &pontoonpb.PlaceRequest{Request: &pontoonpb.PlaceRequest_Move{
		Move: &pontoonpb.MoveReplica{RangeId: id, FromNode: from, ToNode: to}}}
}

// A node that dies is missed for the whole time, then its replicas are rebuilt.
func TestRepairsDeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(4, 2, 1, 2, 3)
		p.c.Settings.BalanceOff = true
		d := p.driver(t)
		defer d.Close()
		time.Sleep(10 * time.Second)
		p.set(func() { p.c.Kill(1) })
		time.Sleep(295 * time.Second)
		if got := p.replicas(3); got != "n1n2n3" {
			t.Fatalf("too early: %s", got)
		}
		time.Sleep(30 * time.Second)
		for id := proto.RangeID(1); id <= 4; id++ {
			if got := p.replicas(id); got != "n2n3n4" {
				t.Errorf("range %d: %s", id, got)
			}
		}
		ended := d.Place(list(true)).Operators
		slices.SortFunc(ended, func(a, b *pontoonpb.OperatorStatus) int { return cmp.Compare(a.Id, b.Id) })
		if len(ended) != 4 || ended[0].Kind != "replace-dead" || ended[0].State != "done" || ended[0].RangeId != 1 {
			t.Error(ended)
		}
		if n := value(t, d.metrics.operators.WithLabelValues("replace-dead", "done")); n != 4 {
			t.Errorf("%v counted", n)
		}
		if value(t, d.metrics.inFlight) != 0 || value(t, d.metrics.underReplicated) != 0 {
			t.Error("gauges")
		}
	})
}

// I1: a driver that lost the root range stops at once; the next one finishes
// what it finds half done.
func TestI1HalfDoneMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(4, 1, 1, 2, 3)
		p.c.Settings.BalanceOff = true
		p.c.Settings.SnapshotBytesPerSecond = 4 << 20
		d := p.driver(t)
		defer d.Close()
		time.Sleep(2 * time.Second)
		p.set(func() { p.c.Nodes[2].Record.State = pontoonpb.NodeState_NODE_DRAINING })
		time.Sleep(5 * time.Second)
		if got := p.replicas(3); got != "n1n2n3[n4]" && p.replicas(1) != "n1n2n3[n4]" {
			t.Fatalf("not under way: %s", got)
		}
		p.set(func() { p.leading = false })
		d.Wake()
		synctest.Wait()
		sent := p.sent()
		if reply := d.Place(list(true)); !reply.NotLeader || reply.LeaderNode != 7 || len(reply.Operators) > 0 {
			t.Error(reply)
		}
		time.Sleep(time.Hour)
		if p.sent() != sent || value(t, d.metrics.inFlight) != 0 {
			t.Error("still at work")
		}
		p.set(func() { p.leading = true })
		time.Sleep(5 * time.Minute)
		for id := proto.RangeID(1); id <= 3; id++ {
			if got := p.replicas(id); got != "n1n2n4" {
				t.Errorf("range %d: %s", id, got)
			}
		}
		// What the drain no longer asks for is cleaned up.
		p.set(func() {
			p.c.Do(&pontoonpb.RangeOp{RangeId: 3, Op: &pontoonpb.RangeOp_ChangeReplicas{ChangeReplicas: &pontoonpb.ChangeReplicasOp{
				Generation: p.c.Range(3).Status.Desc.Generation,
				Steps:      []*pontoonpb.ReplicaStep{{Kind: pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER, NodeId: 3}}}}})
		})
		time.Sleep(10 * time.Second)
		if got := p.replicas(3); got != "n1n2n4" {
			t.Errorf("learner stays: %s", got)
		}
	})
}

// A node that lives but does not report seems to lead nothing; nothing is
// balanced by that.
func TestSilentNodeBalancesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(3, 4, 1, 2, 3) // all led by n1
		p.mute[3] = true
		d := p.driver(t)
		defer d.Close()
		time.Sleep(time.Minute)
		if n := p.sent(); n != 0 {
			t.Fatalf("%d operations", n)
		}
		p.set(func() { p.mute[3] = false })
		time.Sleep(time.Minute)
		p.set(func() {
			if s := p.c.Leaders(); s.Max != 2 || s.Min != 2 {
				t.Errorf("leaders %v", s)
			}
			if broken := p.c.Check(); len(broken) > 0 {
				t.Error(broken)
			}
		})
	})
}

// An operator that is to make a node lead ends when that node says that it stops,
// and it is not asked again until it is back.
func TestStoppingNodeEndsTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(3, 6, 1, 2, 3) // all led by n1
		asked := 0
		p.fail = func(op *pontoonpb.RangeOp) error {
			if op.GetTransfer().GetToNode() == 2 {
				asked++
				return proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "not now")
			}
			return nil
		}
		d := p.driver(t)
		defer d.Close()
		time.Sleep(3 * time.Second)
		if len(d.Place(list(false)).Operators) == 0 || asked == 0 {
			t.Fatal("nothing is under way")
		}
		p.set(func() { p.c.Nodes[1].Stopping, asked = true, 0 })
		time.Sleep(time.Second)
		for _, o := range d.Place(list(true)).Operators {
			if strings.Contains(o.Steps[0].Text, "make n2 lead") && o.State != "failed" {
				t.Error(o)
			}
		}
		p.set(func() { asked = 0 })
		time.Sleep(time.Minute)
		p.set(func() {
			if asked != 0 {
				t.Errorf("asked %d times to lead", asked)
			}
			p.c.Nodes[1].Stopping, p.fail = false, nil
		})
		time.Sleep(2 * time.Minute)
		p.set(func() {
			if s := p.c.Leaders(); s.Min == 0 {
				t.Errorf("leaders %v", s)
			}
		})
	})
}

func TestPlaceMoveAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(4, 1, 1, 2, 3)
		p.c.Settings.BalanceOff = true
		p.c.Settings.SnapshotBytesPerSecond = 4 << 20
		d := p.driver(t)
		defer d.Close()
		time.Sleep(2 * time.Second)
		reply := d.Place(move(3, 1, 4))
		if reply.Refused != "" || len(reply.Operators) != 1 || reply.Operators[0].Kind != "move" || reply.Operators[0].State != "waiting" {
			t.Fatal(reply)
		}
		time.Sleep(8 * time.Second)
		running := d.Place(list(false)).Operators
		if len(running) != 1 || running[0].State != "running" || running[0].BytesTotal != 64<<20 ||
			running[0].BytesDone < 24<<20 || running[0].EtaSeconds < 5 || running[0].EtaSeconds > 12 {
			t.Fatal(running)
		}
		for want, req := range map[string]*pontoonpb.PlaceRequest{
			"works on range 3": move(3, 2, 4), "range 99 is not known": move(99, 1, 4),
			"node 9 is not a member": move(2, 9, 4), "node b is not a member": move(2, 1, 11),
			"n4 has no replica of range 2": move(2, 4, 0), "n3 has a replica of range 2 already": move(2, 1, 3),
			"neither a node": move(2, 0, 0), "another cluster": {ClusterId: 6},
			"no operator 12 is running": {Request: &pontoonpb.PlaceRequest_Cancel{Cancel: &pontoonpb.CancelOperator{Id: 12}}},
			"the root range is never merged": {Request: &pontoonpb.PlaceRequest_Merge{
				Merge: &pontoonpb.MergeRange{RangeId: 1}}},
			"different things": {Request: &pontoonpb.PlaceRequest_Merge{Merge: &pontoonpb.MergeRange{RangeId: 2}}},
			"nothing is asked": {},
		} {
			if got := d.Place(req).Refused; !strings.Contains(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
		canceled := d.Place(&pontoonpb.PlaceRequest{Request: &pontoonpb.PlaceRequest_Cancel{
			Cancel: &pontoonpb.CancelOperator{Id: running[0].Id}}})
		if canceled.Refused != "" || canceled.Operators[0].State != "canceled" {
			t.Fatal(canceled)
		}
		time.Sleep(time.Minute)
		if got := p.replicas(3); got != "n1n2n3" || len(d.Place(list(false)).Operators) != 0 {
			t.Errorf("after cancel: %s", got)
		}
	})
}

// What cannot be done is shown beside what is.
func TestPlaceListsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(3, 2, 1, 2, 3)
		p.c.Settings.BalanceOff = true
		p.c.Kill(3)
		d := p.driver(t)
		defer d.Close()
		time.Sleep(330 * time.Second)
		ops := d.Place(list(false)).Operators
		if len(ops) != 1 || ops[0].Id != 0 || ops[0].State != BlockedState || ops[0].Kind != "replace-dead" ||
			!strings.HasPrefix(ops[0].Reason, "n3 has not answered for") || !strings.HasSuffix(ops[0].Reason, "or add a node (4 ranges)") {
			t.Errorf("%v", ops)
		}
	})
}

func TestPlaceRefusesNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(6, 1, 1)
		p.c.Settings.BalanceOff, p.c.Settings.ReplicationFactor, p.c.Settings.RootReplicationFactor = true, 1, 1
		p.c.Nodes[1].Record.State = pontoonpb.NodeState_NODE_DRAINING
		p.c.Nodes[2].Record.State = pontoonpb.NodeState_NODE_REMOVED
		p.c.Nodes[3].Record.Learner = true
		p.c.Kill(5)
		d := p.driver(t)
		defer d.Close()
		if got := d.Place(move(3, 1, 6)).Refused; got == "" && !d.Place(list(false)).NotLeader {
			t.Error("moved before anything was known")
		}
		time.Sleep(2 * time.Second)
		for want, req := range map[string]*pontoonpb.PlaceRequest{
			"n2 is draining": move(3, 1, 2), "n3 was removed": move(3, 1, 3), "n4 is a learner member": move(3, 1, 4),
			"n5 does not answer": move(3, 1, 5), "n1 has the last replica of range 3": move(3, 1, 0),
		} {
			if got := d.Place(req).Refused; !strings.Contains(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if got := d.Place(move(3, 0, 6)).Refused; got != "range 3 has the 1 replicas that it should have: move one instead" {
			t.Error(got)
		}
		d.Place(move(3, 1, 6))
		time.Sleep(5 * time.Second)
		if got := p.replicas(3); got != "n6" {
			t.Error(got)
		}
	})
}

// A merge by hand brings the replicas together first.
func TestPlaceMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(4, 2, 1, 2, 3)
		p.c.Settings.BalanceOff = true
		p.c.Range(4).Status.Desc.Replicas[0].NodeId, p.c.Range(4).Status.LeaderNode = 4, 4
		d := p.driver(t)
		defer d.Close()
		time.Sleep(2 * time.Second)
		reply := d.Place(&pontoonpb.PlaceRequest{Request: &pontoonpb.PlaceRequest_Merge{Merge: &pontoonpb.MergeRange{RangeId: 3}}})
		if reply.Refused != "" {
			t.Fatal(reply.Refused)
		}
		time.Sleep(10 * time.Second)
		if n := p.ranges(); n != 3 {
			t.Fatal(n, d.Place(list(true)).Operators)
		}
		if got := d.Place(move(4, 1, 2)).Refused; !strings.Contains(got, "range 4 is not known") {
			t.Errorf("what was merged is still there: %q", got)
		}
	})
}

// I4: operations that fail do not pile up; the range rests and the driver goes on.
func TestFailuresRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPorts(3, 1, 1, 2, 3)
		p.c.Settings.BalanceOff = true
		p.c.Range(3).Status.SizeBytes = 1 << 30
		p.c.Range(3).OneKey = true
		d := p.driver(t)
		defer d.Close()
		time.Sleep(10 * time.Minute)
		if n := p.sent(); n < 5 || n > 8 {
			t.Errorf("%d tries in ten minutes", n)
		}
		p.set(func() { p.c.Range(3).OneKey = false })
		time.Sleep(20 * time.Minute)
		if got := p.ranges(); got != 3+3 {
			t.Errorf("%d ranges", got)
		}
	})
}

// I2: what is older never replaces what is known, and of ranges that overlap
// the newer is believed.
func TestI2Figures(t *testing.T) {
	f, now := newFigures(), time.Unix(1000, 0)
	st := func(id, generation, term, last uint64, start, end string) *pontoonpb.RangeStatus {
		return &pontoonpb.RangeStatus{LeaderNode: 1, Term: term, LastIndex: last, Desc: &pontoonpb.Descriptor{
			RangeId: id, Generation: generation, Span: proto.Span{Start: []byte(start), End: []byte(end)}.Wire()}}
	}
	f.note(st(3, 2, 5, 10, "a", "m"), now)
	for _, old := range []*pontoonpb.RangeStatus{st(3, 1, 9, 99, "a", "z"), st(3, 2, 4, 99, "a", "m"), st(3, 2, 5, 9, "a", "m")} {
		if f.note(old, now) {
			t.Error("took", old)
		}
	}
	if !f.note(st(3, 3, 5, 11, "a", "k"), now.Add(time.Second)) || f.ranges[3].changed != now.Add(time.Second) {
		t.Error("newer refused")
	}
	f.note(st(4, 3, 5, 10, "k", "m"), now)
	f.note(st(3, 4, 5, 12, "a", "m"), now.Add(2*time.Second)) // merged
	f.note(st(5, 1, 5, 12, "m", "z"), now.Add(2*time.Second))
	got := f.list(now.Add(3 * time.Second))
	if len(got) != 2 || got[0].Status.Desc.RangeId != 3 || got[1].Status.Desc.RangeId != 5 {
		t.Error(got)
	}
	got = f.list(now.Add(time.Minute))
	if len(got) != 2 || got[0].Status.LeaderNode != 0 || f.of(4) != nil || f.of(3) == nil {
		t.Error("who does not report has no leader; who was merged is forgotten", got)
	}
}

// Ranges that a node names by id alone are as they were; whatever the driver
// does not know of that node, it asks for again.
func TestFiguresOfRangesThatSleep(t *testing.T) {
	f, now := newFigures(), time.Unix(1000, 0)
	led := func(id, leader, term uint64) *pontoonpb.RangeStatus {
		return &pontoonpb.RangeStatus{LeaderNode: leader, Term: term, Desc: &pontoonpb.Descriptor{
			RangeId: id, Span: proto.Span{Start: []byte{byte(id)}, End: []byte{byte(id) + 1}}.Wire()}}
	}
	asks := func(boot, since uint64) {
		t.Helper()
		if b, s := f.last(1, now); b != boot || s != since {
			t.Errorf("goes on from %d/%d, want %d/%d", b, s, boot, since)
		}
	}
	asks(0, 0)
	f.report(1, &pontoonpb.ReportReply{Boot: 7, Number: 1, Led: []*pontoonpb.RangeStatus{led(3, 1, 5), led(4, 1, 5)}}, now)
	for n := range uint64(3) {
		now = now.Add(time.Minute)
		asks(7, n+1)
		f.report(1, &pontoonpb.ReportReply{Boot: 7, Number: n + 2, Same: []uint64{3}, Led: []*pontoonpb.RangeStatus{led(4, 1, 5)}}, now)
	}
	for _, r := range f.list(now) {
		if r.Status.LeaderNode != 1 {
			t.Error("a range that sleeps lost its leader", r)
		}
	}
	f.note(led(4, 2, 6), now) // is led elsewhere
	f.report(1, &pontoonpb.ReportReply{Boot: 7, Number: 5, Same: []uint64{3, 4}}, now)
	asks(0, 0)
	if f.of(4).LeaderNode != 2 {
		t.Error("an old leader that sleeps counts")
	}
	f.report(1, &pontoonpb.ReportReply{Boot: 7, Number: 6, Led: []*pontoonpb.RangeStatus{led(3, 1, 5)}}, now)
	asks(7, 6)
	now = now.Add(wholeEvery)
	asks(0, 0)
}

// A driver that has not looked at the ranges yet refuses nothing: who asks is
// to ask again.
func TestPlaceBeforeTheFirstPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPorts(4, 1, 1, 2, 3).driver(t)
		defer d.Close()
		time.Sleep(2 * time.Second)
		if reply := d.Place(list(false)); reply.NotLeader {
			t.Error(reply)
		}
		d.mu.Lock()
		d.reign.view = nil
		d.mu.Unlock()
		if reply := d.Place(move(3, 1, 4)); !reply.NotLeader || reply.Refused != "" || len(reply.Operators) != 0 {
			t.Error(reply)
		}
	})
}
