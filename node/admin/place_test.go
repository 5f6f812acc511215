package admin

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func (f *fake) Place(_ context.Context, req *pontoonpb.PlaceRequest) (*pontoonpb.PlaceReply, error) {
	f.placed = append(f.placed, req)
	return f.reply, f.err
}

func (f *fake) Drain(_ context.Context, node proto.NodeID, undo bool) error {
	if f.err == nil {
		f.drained = map[proto.NodeID]bool{node: !undo}
	}
	return f.err
}

func (f *fake) Remove(_ context.Context, node proto.NodeID, force bool) error {
	if f.err == nil {
		f.removed = map[proto.NodeID]bool{node: force}
	}
	return f.err
}

func (f *fake) Settings(context.Context) ([]*pontoonpb.Setting, error) { return f.settings, nil }

func (f *fake) ChangeSettings(_ context.Context, set []*pontoonpb.Setting) error {
	if f.err == nil {
		f.settings = set
	}
	return f.err
}

// three nodes, of which 1 and 2 have range 4 (b to end) and 3 has range 5 (a
// to b) alone.
func placeFake() *fake {
	long := replica(4, 1, 1, 5, "b")
	long.Desc.Span.End = keys.Max
	single := replica(5, 3, 3, 5, "a")
	single.Desc.Replicas = []*pontoonpb.Replica{{NodeId: 3}}
	return &fake{
		nodes: map[proto.NodeID]*pontoonpb.DescribeReply{
			1: {Ranges: []*pontoonpb.RangeStatus{long}},
			3: {Ranges: []*pontoonpb.RangeStatus{single}},
		},
		reply: &pontoonpb.PlaceReply{Operators: []*pontoonpb.OperatorStatus{{Id: 77, RangeId: 4}}},
	}
}

// A move or merge that can never be done is refused in words, without a
// request to the driver.
func TestMovesAndMergesThatCannotBe(t *testing.T) {
	for _, tc := range []struct {
		id, from, to uint64
		want         string
	}{
		{4, 0, 0, "name the node"},
		{4, 1, 1, "on node n1 already"},
		{4, 3, 1, "node n3 has no replica of range 4"},
		{4, 1, 2, "node n2 has a replica of range 4 already"},
		{4, 1, 9, "no node 9 belongs"},
		{5, 3, 0, "node n3 holds the last replica of range 5"},
		{5, 3, 2, "node n2 is draining and takes no replicas"},
		{9, 1, 3, "no replica of range 9 answers"},
	} {
		f := placeFake()
		_, err := (&Server{Cluster: f}).RangeMove(t.Context(), &pontoonpb.RangeMoveRequest{RangeId: tc.id, FromNode: tc.from, ToNode: tc.to})
		if err == nil || !strings.Contains(err.Error(), tc.want) || len(f.placed) > 0 {
			t.Errorf("%+v: %v, %v", tc, err, f.placed)
		}
	}
	for end, want := range map[string]string{
		string(keys.MetaSpan.End):  "never merges",
		string(keys.LeaseSpan.End): "never merge with the keys",
		string(keys.Max):           "no right neighbour",
	} {
		f := placeFake()
		f.nodes[1].Ranges[0].Desc.Span.End = []byte(end)
		_, err := (&Server{Cluster: f}).RangeMerge(t.Context(), &pontoonpb.RangeMergeRequest{RangeId: 4})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), want) || len(f.placed) > 0 {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// What can be done goes to the driver; its refusal reaches the operator with
// its text.
func TestTheDriverDecides(t *testing.T) {
	f := placeFake()
	s := &Server{Cluster: f}
	moved, err := s.RangeMove(t.Context(), &pontoonpb.RangeMoveRequest{RangeId: 4, FromNode: 1, ToNode: 3})
	if err != nil || moved.Operator.Id != 77 || f.placed[0].GetMove().ToNode != 3 || f.placed[0].GetMove().FromNode != 1 {
		t.Fatal(moved, err)
	}
	merged, err := s.RangeMerge(t.Context(), &pontoonpb.RangeMergeRequest{RangeId: 5})
	if err != nil || merged.Operator.Id != 77 || f.placed[1].GetMerge().RangeId != 5 {
		t.Fatal(merged, err)
	}
	listed, err := s.PlacementOperators(t.Context(), &pontoonpb.PlacementOperatorsRequest{Ended: true})
	if err != nil || len(listed.Operators) != 1 || !f.placed[2].GetList().Ended {
		t.Fatal(listed, err)
	}
	if _, err := s.PlacementCancel(t.Context(), &pontoonpb.PlacementCancelRequest{Id: 7}); err != nil || f.placed[3].GetCancel().Id != 7 {
		t.Fatal(err)
	}
	f.reply = &pontoonpb.PlaceReply{Refused: "range 4 is being split"}
	for _, err := range []error{
		errOf(s.RangeMove(t.Context(), &pontoonpb.RangeMoveRequest{RangeId: 4, FromNode: 1, ToNode: 3})),
		errOf(s.RangeMerge(t.Context(), &pontoonpb.RangeMergeRequest{RangeId: 5})),
		errOf(s.PlacementCancel(t.Context(), &pontoonpb.PlacementCancelRequest{Id: 7})),
	} {
		if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "range 4 is being split" {
			t.Error(err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestDrainAndRemove(t *testing.T) {
	f := placeFake()
	s := &Server{Cluster: f}
	drained, err := s.NodeDrain(t.Context(), &pontoonpb.NodeDrainRequest{NodeId: 2})
	if err != nil || drained.Node.Name != "n2" || !f.drained[2] {
		t.Fatal(drained, err)
	}
	if _, err := s.NodeDrain(t.Context(), &pontoonpb.NodeDrainRequest{NodeId: 2, Undo: true}); err != nil || f.drained[2] {
		t.Fatal(err)
	}
	if _, err := s.NodeRemove(t.Context(), &pontoonpb.NodeRemoveRequest{NodeId: 2, Force: true}); err != nil || !f.removed[2] {
		t.Fatal(err)
	}
	for _, err := range []error{
		errOf(s.NodeDrain(t.Context(), &pontoonpb.NodeDrainRequest{NodeId: 9})),
		errOf(s.NodeRemove(t.Context(), &pontoonpb.NodeRemoveRequest{NodeId: 9})),
	} {
		if status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	}
	f.err = proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "node n2 holds 3 replicas")
	_, err = s.NodeRemove(t.Context(), &pontoonpb.NodeRemoveRequest{NodeId: 2})
	if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "node n2 holds 3 replicas" {
		t.Error(err)
	}
}

// Settings are changed before they are shown; without names nothing is changed.
func TestSettings(t *testing.T) {
	f := &fake{settings: []*pontoonpb.Setting{{Name: "a", Value: "1"}}}
	s := &Server{Cluster: f}
	shown, err := s.PlacementSettings(t.Context(), &pontoonpb.PlacementSettingsRequest{})
	if err != nil || len(shown.Settings) != 1 || shown.Settings[0].Name != "a" {
		t.Fatal(shown, err)
	}
	set := []*pontoonpb.Setting{{Name: "b", Value: "2"}}
	shown, err = s.PlacementSettings(t.Context(), &pontoonpb.PlacementSettingsRequest{Set: set})
	if err != nil || shown.Settings[0].Name != "b" {
		t.Fatal(shown, err)
	}
	f.err = status.Error(codes.InvalidArgument, "setting b: 2 is even")
	if _, err := s.PlacementSettings(t.Context(), &pontoonpb.PlacementSettingsRequest{Set: set}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
}
