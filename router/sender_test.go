package router_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/router"
	"github.com/pontoon-kv/pontoon/router/rangecache"
)

// script answers calls one after the other and notes where they went.
type script struct {
	answers []error // nil: success
	nodes   []proto.NodeID
	lookups int
	desc    *pontoonpb.Descriptor // of the directory
}

func (s *script) Call(_ context.Context, node proto.NodeID, _ *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	s.nodes = append(s.nodes, node)
	if len(s.answers) == 0 {
		return &pontoonpb.RangeReply{}, nil
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	var re *proto.RangeError
	if err == nil || !errors.As(err, &re) {
		return &pontoonpb.RangeReply{}, err
	}
	return &pontoonpb.RangeReply{Error: re.RangeError}, nil
}

func (s *script) Lookup(context.Context, []byte) (*pontoonpb.Descriptor, error) {
	s.lookups++
	return s.desc, nil
}

func rangeAt(id, generation uint64, start, end string) *pontoonpb.Descriptor {
	return &pontoonpb.Descriptor{
		RangeId: id, Generation: generation, Span: &pontoonpb.Span{Start: []byte(start), End: []byte(end)},
		Replicas: []*pontoonpb.Replica{{NodeId: 1}, {NodeId: 2}, {NodeId: 3}},
	}
}

// TestSend: what is followed, what is sent again, and what is not (P34).
func TestSend(t *testing.T) {
	code := func(c pontoonpb.RangeErrorCode) error { return proto.Errorf(c, "test") }
	stale := func(leader uint64) error {
		return &proto.RangeError{RangeError: &pontoonpb.RangeError{Code: pontoonpb.RangeErrorCode_STALE_CLOSED, LeaderNode: leader}}
	}
	read := &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{}}}
	write := &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{}}}
	commit := &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Commit{Commit: &pontoonpb.CommitOp{}}}
	broken := errors.New("stream broken")
	moved := rangeAt(7, 2, "a", "z")
	moved.Replicas = moved.Replicas[:2]
	for _, c := range []struct {
		name    string
		op      *pontoonpb.RangeOp
		answers []error
		want    pontoonpb.RangeErrorCode
		nodes   []proto.NodeID
		lookups int
	}{
		{"straight", write, nil, 0, []proto.NodeID{1}, 0},
		{"leader hint", write, []error{proto.NotLeader(3)}, 0, []proto.NodeID{1, 3}, 0},
		{"no hint", write, []error{proto.NotLeader(0), proto.NotLeader(0)}, 0, []proto.NodeID{1, 2, 3}, 0},
		{"follower not closed far enough", read, []error{stale(3)}, 0, []proto.NodeID{1, 3}, 0},
		{"leader not closed far enough", read, []error{proto.NotLeader(2), stale(2)}, 0, []proto.NodeID{1, 2, 2}, 0},
		{"refused write", write, []error{code(pontoonpb.RangeErrorCode_NOT_PROPOSED)}, 0, []proto.NodeID{1, 2}, 0},
		{"stopping node", write, []error{code(pontoonpb.RangeErrorCode_UNAVAILABLE)}, 0, []proto.NodeID{1, 2}, 0},
		{"P34 ambiguous write", write, []error{code(pontoonpb.RangeErrorCode_AMBIGUOUS)}, pontoonpb.RangeErrorCode_AMBIGUOUS, []proto.NodeID{1}, 0},
		{"P34 broken write", write, []error{broken}, pontoonpb.RangeErrorCode_AMBIGUOUS, []proto.NodeID{1}, 0},
		{"P34 broken commit", commit, []error{broken}, pontoonpb.RangeErrorCode_AMBIGUOUS, []proto.NodeID{1}, 0},
		{"follower that is behind", read, []error{&proto.RangeError{RangeError: &pontoonpb.RangeError{
			Code: pontoonpb.RangeErrorCode_STALE_CLOSED, LeaderNode: 3}}}, 0, []proto.NodeID{1, 3}, 0},
		{"broken read", read, []error{broken}, 0, []proto.NodeID{1, 2}, 0},
		{"etcd's answer", read, []error{code(pontoonpb.RangeErrorCode_ETCD)}, pontoonpb.RangeErrorCode_ETCD, []proto.NodeID{1}, 0},
		{"lock conflict", write, []error{code(pontoonpb.RangeErrorCode_LOCKED)}, pontoonpb.RangeErrorCode_LOCKED, []proto.NodeID{1}, 0},
		{"newer descriptor", write, []error{proto.Mismatch(rangeAt(7, 2, "a", "f"))}, 0, []proto.NodeID{1, 2}, 0},
		{"no longer inside", write, []error{proto.Mismatch(rangeAt(7, 2, "a", "b\x00\x00"))}, pontoonpb.RangeErrorCode_RANGE_MISMATCH, []proto.NodeID{1}, 0},
		{"leader that was removed", write, []error{proto.NotLeader(3), proto.Mismatch(moved)}, 0, []proto.NodeID{1, 3, 2}, 0},
		{"useless mismatch", write, []error{proto.Mismatch()}, 0, []proto.NodeID{1, 2}, 1},
		{"gone from everywhere", write, []error{
			code(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND), code(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND), code(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND),
		}, 0, []proto.NodeID{1, 2, 3, 1}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: c.answers, desc: rangeAt(7, 3, "a", "z")}
			sender := router.NewSender(rangecache.New(rangeAt(7, 1, "a", "z")), s, s)
			op := &pontoonpb.RangeOp{Span: &pontoonpb.Span{Start: []byte("b"), End: []byte("c")}, Op: c.op.Op}
			_, err := sender.Send(t.Context(), op)
			if got := codeOf(err); got != c.want || !slices.Equal(s.nodes, c.nodes) || s.lookups != c.lookups {
				t.Errorf("%s: %v after nodes %v and %d look-ups", c.name, err, s.nodes, s.lookups)
			}
		})
	}
}

// A node without a replica, that everybody knows to have none, is not asked for
// ever because somebody once called it the leader.
func TestSendForgetsALeaderThatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moved := rangeAt(7, 2, "a", "z")
		moved.Replicas = moved.Replicas[:2]
		gone := proto.Mismatch(moved)
		s := &script{desc: moved, answers: []error{gone, gone}}
		cache := rangecache.New(moved)
		cache.SetLeader(7, 3)
		op := &pontoonpb.RangeOp{Span: &pontoonpb.Span{Start: []byte("b"), End: []byte("c")}, Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{}}}
		_, err := router.NewSender(cache, s, s).Send(t.Context(), op)
		if len(s.nodes) < 2 || s.nodes[0] != 3 || slices.Contains(s.nodes[1:], 3) {
			t.Fatalf("%v after nodes %v", err, s.nodes)
		}
	})
}

// TestSendFindsARangeThatLeftAllNodesItKnows: the nodes where a range was are
// gone, and so is whoever could redirect (P21). The directory is asked once they were
// all tried, and once a turn while it knows nothing better.
func TestSendFindsARangeThatLeftAllNodesItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no connection")
		old, moved := rangeAt(7, 1, "a", "z"), rangeAt(7, 9, "a", "z")
		for i, r := range moved.Replicas {
			r.NodeId = uint64(4 + i)
		}
		cache := rangecache.New(old)
		cache.SetLeader(7, 2)
		s := &script{desc: moved, answers: []error{down, down, down, down}}
		op := &pontoonpb.RangeOp{Span: &pontoonpb.Span{Start: []byte("b"), End: []byte("c")}, Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := router.NewSender(cache, s, s).Send(ctx, op)
		if err != nil || s.lookups != 1 || !slices.Equal(s.nodes[:4], []proto.NodeID{2, 1, 2, 3}) || s.nodes[4] < 4 {
			t.Errorf("%v after %v, %d lookups", err, s.nodes, s.lookups)
		}

		s = &script{desc: old, answers: slices.Repeat([]error{down}, 9)}
		if _, err := router.NewSender(rangecache.New(old), s, s).Send(t.Context(), op); err != nil || s.lookups != 3 {
			t.Errorf("%v after %v, %d lookups", err, s.nodes, s.lookups)
		}
	})
}

func codeOf(err error) pontoonpb.RangeErrorCode {
	var re *proto.RangeError
	if errors.As(err, &re) {
		return re.Code
	}
	return pontoonpb.RangeErrorCode_RANGE_ERROR_NONE
}

// TestSendBacksOff: a range that stays away is asked less and less, until the
// caller's deadline.
func TestSendBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		for range 1000 {
			s.answers = append(s.answers, proto.NotLeader(0))
		}
		sender := router.NewSender(rangecache.New(rangeAt(7, 1, "a", "z")), s, s)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		op := &pontoonpb.RangeOp{
			Span: &pontoonpb.Span{Start: []byte("b"), End: []byte("c")}, Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{}},
		}
		if _, err := sender.Send(ctx, op); codeOf(err) != pontoonpb.RangeErrorCode_UNAVAILABLE {
			t.Errorf("error %v", err)
		}
		if n := len(s.nodes); n < 20 || n > 80 {
			t.Errorf("%d attempts in 7 s", n)
		}
	})
}

// election has no leader until a moment.
type election struct{ until time.Time }

func (e election) Call(context.Context, proto.NodeID, *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	if time.Now().Before(e.until) {
		return nil, proto.NotLeader(0)
	}
	return &pontoonpb.RangeReply{}, nil
}

// A leader is found a fraction of the time late that it took to become one, so
// that the gap of a hand-over does not grow by a wait that doubled too often.
func TestSendComesBackSoon(t *testing.T) {
	for _, gap := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 600 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			for range 50 {
				began := time.Now()
				sender := router.NewSender(rangecache.New(rangeAt(7, 1, "a", "z")), &script{}, election{began.Add(gap)})
				op := &pontoonpb.RangeOp{
					Span: &pontoonpb.Span{Start: []byte("b"), End: []byte("c")}, Op: &pontoonpb.RangeOp_Read{Read: &pontoonpb.ReadOp{}},
				}
				if _, err := sender.Send(t.Context(), op); err != nil {
					t.Fatal(err)
				}
				if late := time.Since(began) - gap; late > gap/4+time.Millisecond {
					t.Errorf("found %v after a gap of %v", late, gap)
				}
			}
		})
	}
}

// lateDirectory still says what was before a split, then what is.
type lateDirectory struct {
	answers []*pontoonpb.Descriptor
}

func (d *lateDirectory) Lookup(context.Context, []byte) (*pontoonpb.Descriptor, error) {
	first := d.answers[0]
	if len(d.answers) > 1 {
		d.answers = d.answers[1:]
	}
	return first, nil
}

// TestCoverDuringSplit: P21: a directory that lags behind a split must not make
// parts overlap, or keys would be read, counted and deleted twice.
func TestCoverDuringSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, parent, right := rangeAt(7, 2, "a", "m"), rangeAt(7, 1, "a", "z"), rangeAt(8, 2, "m", "z")
		cache := rangecache.New(left)
		dir := &lateDirectory{answers: []*pontoonpb.Descriptor{parent, parent, right}}
		sender := router.NewSender(cache, dir, &script{})
		descs, err := sender.Cover(t.Context(), proto.Span{Start: []byte("b"), End: []byte("y")})
		if err != nil || !slices.Equal(descs, []*pontoonpb.Descriptor{left, right}) {
			t.Errorf("cover %v, %v", descs, err)
		}
	})
}

// TestCoverDuringMerge: what was found first is the older one.
func TestCoverDuringMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, merged := rangeAt(7, 2, "a", "m"), rangeAt(7, 3, "a", "z")
		dir := &lateDirectory{answers: []*pontoonpb.Descriptor{merged}}
		sender := router.NewSender(rangecache.New(left), dir, &script{})
		descs, err := sender.Cover(t.Context(), proto.Span{Start: []byte("b"), End: []byte("y")})
		if err != nil || !slices.Equal(descs, []*pontoonpb.Descriptor{merged}) {
			t.Errorf("cover %v, %v", descs, err)
		}
	})
}
