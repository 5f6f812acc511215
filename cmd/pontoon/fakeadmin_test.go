package main

import (
	"bytes"
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files instead of comparing with them")

// fakeAdmin is a cluster of four nodes as the Admin service shows it. Tests say
// what changes while a command looks.
type fakeAdmin struct {
	pontoonpb.UnimplementedAdminServer
	addr string

	mu     sync.Mutex
	nodes  []*pontoonpb.NodeStatus
	ranges []*pontoonpb.RangeStatus
	ops    []*pontoonpb.OperatorStatus
	look   func(f *fakeAdmin) // before every answer
	asked  []string
	move   *pontoonpb.RangeMoveRequest
	set    []*pontoonpb.Setting
	refuse error
}

func newFakeAdmin(t *testing.T) *fakeAdmin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeAdmin{addr: l.Addr().String(), look: func(*fakeAdmin) {}}
	for i, name := range []string{"n1", "n2", "n3", ""} {
		f.nodes = append(f.nodes, &pontoonpb.NodeStatus{
			NodeId: 0xa1 + uint64(i), Name: name, State: "live", Version: "0.3.0",
			ClientUrls: []string{"http://" + name + ":2379"}, PeerUrls: []string{"http://" + name + ":2380"},
			Replicas: 3, Leaders: 1, SizeBytes: 5 << 20, DiskFreeBytes: 10 << 30, DiskTotalBytes: 40 << 30,
			Locality: []*pontoonpb.LocalityTier{{Key: "region", Value: "r1"}, {Key: "zone", Value: "z" + name}},
		})
	}
	f.nodes[3].State, f.nodes[3].Locality, f.nodes[3].DiskTotalBytes, f.nodes[3].Learner = "dead", nil, 0, true
	f.ranges = []*pontoonpb.RangeStatus{
		fakeRange(1, keys.MetaSpan.Start, keys.MetaSpan.End, 0xa1, 0xa1, 0xa2, 0xa3),
		fakeRange(2, keys.LeaseSpan.Start, keys.LeaseSpan.End, 0xa2, 0xa1, 0xa2, 0xa3),
		fakeRange(3, keys.UserSpan.Start, keys.User([]byte("m")), 0xa3, 0xa1, 0xa2, 0xa3, 0xa4),
		fakeRange(7, keys.User([]byte("m")), keys.Max, 0, 0xa1, 0xa2, 0xbb),
	}
	f.ranges[1].Hibernating = true
	f.ranges[2].Desc.Replicas[3].Role = pontoonpb.ReplicaRole_REPLICA_LEARNER
	f.ranges[2].SizeBytes, f.ranges[2].LiveKeys = 300<<20, 123456
	f.ranges[2].Load = &pontoonpb.RangeLoad{WritesPerSecond: 812.4, ReadsPerSecond: 3.25, WriteBytesPerSecond: 2 << 20, Busy: 0.31}
	f.ranges[2].Progress = []*pontoonpb.ReplicaProgress{
		{ReplicaId: 1, NodeId: 0xa1, Match: 90, Active: true},
		{ReplicaId: 4, NodeId: 0xa4, Snapshot: true, SnapshotBytes: 20 << 20, SnapshotTotal: 300 << 20},
	}
	f.ranges[3].LiveKeys, f.ranges[3].SizeBytes, f.ranges[3].NodeId = -1, -1, 0xa1
	f.ops = []*pontoonpb.OperatorStatus{
		{
			Id: 12, RangeId: 3, Kind: "replace-dead", Reason: "n4 is dead for 6m", State: "running",
			Steps:    []*pontoonpb.OperatorStep{{Text: "add a learner on n3", Done: true}, {Text: "promote n3"}},
			Progress: 0.4, BytesDone: 20 << 20, BytesTotal: 300 << 20, EtaSeconds: 65, StartedUnixMillis: 1_800_000_000_000,
		},
		{
			Id: 11, RangeId: 7, Kind: "move", Reason: "asked for", State: "failed", Error: "n2 went away", EtaSeconds: -1,
			StartedUnixMillis: 1_800_000_000_000, EndedUnixMillis: 1_800_000_005_000,
		},
	}
	s := grpc.NewServer()
	pontoonpb.RegisterAdminServer(s, f)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return f
}

func fakeRange(id uint64, start, end []byte, leader uint64, nodes ...uint64) *pontoonpb.RangeStatus {
	r := &pontoonpb.RangeStatus{
		Desc:       &pontoonpb.Descriptor{RangeId: id, Span: &pontoonpb.Span{Start: start, End: end}, Generation: 4},
		LeaderNode: leader, NodeId: leader, Term: 6, AppliedIndex: 99, LastIndex: 101, FirstIndex: 10, Closed: 5000, Floor: 17,
		LiveKeys: 40, SizeBytes: 64 << 10,
	}
	for i, n := range nodes {
		r.Desc.Replicas = append(r.Desc.Replicas, &pontoonpb.Replica{NodeId: n, ReplicaId: uint64(i + 1)})
	}
	return r
}

// answer notes the request and lets the test change the cluster.
func (f *fakeAdmin) answer(what string) (unlock func()) {
	f.mu.Lock()
	f.asked = append(f.asked, what)
	f.look(f)
	return f.mu.Unlock
}

func (f *fakeAdmin) NodeList(context.Context, *pontoonpb.NodeListRequest) (*pontoonpb.NodeListResponse, error) {
	defer f.answer("nodes")()
	return &pontoonpb.NodeListResponse{Nodes: f.nodes}, nil
}

func (f *fakeAdmin) RangeList(context.Context, *pontoonpb.RangeListRequest) (*pontoonpb.RangeListResponse, error) {
	defer f.answer("ranges")()
	return &pontoonpb.RangeListResponse{Ranges: f.ranges}, nil
}

func (f *fakeAdmin) RangeShow(_ context.Context, r *pontoonpb.RangeShowRequest) (*pontoonpb.RangeShowResponse, error) {
	defer f.answer("range")()
	for _, have := range f.ranges {
		if have.Desc.RangeId == r.RangeId {
			return &pontoonpb.RangeShowResponse{Replicas: []*pontoonpb.RangeStatus{have}}, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "no replica of range %d answers", r.RangeId)
}

func (f *fakeAdmin) RangeMove(_ context.Context, r *pontoonpb.RangeMoveRequest) (*pontoonpb.RangeMoveResponse, error) {
	defer f.answer("move")()
	f.move = r
	return &pontoonpb.RangeMoveResponse{Operator: f.ops[0]}, f.refuse
}

func (f *fakeAdmin) RangeMerge(context.Context, *pontoonpb.RangeMergeRequest) (*pontoonpb.RangeMergeResponse, error) {
	defer f.answer("merge")()
	return &pontoonpb.RangeMergeResponse{Operator: f.ops[0]}, f.refuse
}

func (f *fakeAdmin) RangeTransferLeader(context.Context, *pontoonpb.RangeTransferLeaderRequest) (*pontoonpb.RangeTransferLeaderResponse, error) {
	defer f.answer("transfer")()
	return &pontoonpb.RangeTransferLeaderResponse{}, f.refuse
}

func (f *fakeAdmin) NodeDrain(_ context.Context, r *pontoonpb.NodeDrainRequest) (*pontoonpb.NodeDrainResponse, error) {
	defer f.answer("drain")()
	for _, n := range f.nodes {
		if n.NodeId == r.NodeId {
			n.State = map[bool]string{false: "draining", true: "live"}[r.Undo]
			return &pontoonpb.NodeDrainResponse{Node: n}, f.refuse
		}
	}
	return nil, status.Error(codes.NotFound, "no such node")
}

func (f *fakeAdmin) NodeRemove(_ context.Context, r *pontoonpb.NodeRemoveRequest) (*pontoonpb.NodeRemoveResponse, error) {
	defer f.answer("remove")()
	for _, have := range f.ranges {
		if holds(have.Desc, r.NodeId) && !r.Force {
			return nil, status.Error(codes.FailedPrecondition, "it holds replicas")
		}
	}
	return &pontoonpb.NodeRemoveResponse{}, f.refuse
}

func (f *fakeAdmin) PlacementOperators(_ context.Context, r *pontoonpb.PlacementOperatorsRequest) (*pontoonpb.PlacementOperatorsResponse, error) {
	defer f.answer("operators")()
	resp := &pontoonpb.PlacementOperatorsResponse{}
	for _, op := range f.ops {
		if r.Ended || op.EndedUnixMillis == 0 {
			resp.Operators = append(resp.Operators, op)
		}
	}
	return resp, nil
}

func (f *fakeAdmin) PlacementCancel(_ context.Context, r *pontoonpb.PlacementCancelRequest) (*pontoonpb.PlacementCancelResponse, error) {
	defer f.answer("cancel")()
	if r.Id != 12 {
		return nil, status.Errorf(codes.FailedPrecondition, "no operator %d is at work", r.Id)
	}
	return &pontoonpb.PlacementCancelResponse{}, nil
}

func (f *fakeAdmin) PlacementSettings(_ context.Context, r *pontoonpb.PlacementSettingsRequest) (*pontoonpb.PlacementSettingsResponse, error) {
	defer f.answer("settings")()
	f.set = r.Set
	return &pontoonpb.PlacementSettingsResponse{Settings: []*pontoonpb.Setting{
		{Name: "replication_factor", Value: "3", DefaultValue: "3", Help: "replicas of a range"},
		{Name: "dead_after_seconds", Value: "8s", DefaultValue: "5m", Help: "when a node counts as lost"},
	}}, nil
}

// within the process: what a command prints, and its error.
func (f *fakeAdmin) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append(args, "--endpoints="+f.addr))
	err = root.ExecuteContext(within(t))
	return out.String(), errs.String(), err
}

// golden compares with testdata/NAME; -rewrite writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s (%v)\n--- want\n%s--- got\n%s", name, err, want, got)
	}
}

func goldenName(args []string) string {
	name := strings.Join(args, "_")
	for _, r := range []string{"--output=", "--"} {
		name = strings.ReplaceAll(name, r, "")
	}
	return strings.Map(func(r rune) rune {
		if r == '=' || r == '/' || r == '"' {
			return '-'
		}
		return r
	}, name) + ".golden"
}
