package alarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// root is a root range in memory. Nodes hear of its epoch only if told.
type root struct {
	mu      sync.Mutex
	records map[string][]byte
	before  func() // called before each write, once
	fail    error
}

func newRoot() *root { return &root{records: map[string][]byte{}} }

func (r *root) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	if fn := r.before; fn != nil && op.GetSysWrite() != nil {
		r.before = nil
		fn()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	if w := op.GetSysWrite(); w != nil {
		for _, c := range w.Conditions {
			if !bytes.Equal(r.records[string(c.Key)], c.Value) {
				return nil, proto.Errorf(pontoonpb.RangeErrorCode_CONDITION_FAILED, "changed")
			}
		}
		for _, p := range w.Puts {
			r.records[string(p.Key)] = p.Value
		}
		for _, d := range w.Deletes {
			delete(r.records, string(d))
		}
		return &pontoonpb.RangeReply{}, nil
	}
	found := &pontoonpb.SysReadReply{}
	for k, v := range r.records {
		if proto.SpanOf(op.Span).Contains([]byte(k)) {
			found.Records = append(found.Records, &pontoonpb.SysRecord{Key: []byte(k), Value: v})
		}
	}
	slices.SortFunc(found.Records, func(a, b *pontoonpb.SysRecord) int { return bytes.Compare(a.Key, b.Key) })
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysRead{SysRead: found}}, nil
}

func (r *root) epoch() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.records[string(keys.AlarmEpoch)]; b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// heard is what a node heard of the epoch.
type heard struct {
	root *root
	mu   sync.Mutex
	n    uint64
}

func (h *heard) AlarmEpoch() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

func (h *heard) Confirm(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n = h.root.epoch()
	return nil
}

func node(r *root) (*Board, *heard) {
	h := &heard{root: r}
	return NewBoard(r, h, nil), h
}

func do(t *testing.T, b *Board, action pb.AlarmRequest_AlarmAction, member uint64, kind pb.AlarmType) []alarm {
	t.Helper()
	list, err := b.Do(t.Context(), &pb.AlarmRequest{Action: action, MemberID: member, Alarm: kind})
	if err != nil {
		t.Fatal(err)
	}
	var got []alarm
	for _, a := range list {
		got = append(got, alarm{a.Alarm, a.MemberID})
	}
	return got
}

// What etcd answers to each request, in this order, whichever node is asked.
func TestDo(t *testing.T) {
	const get, on, off = pb.AlarmRequest_GET, pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_DEACTIVATE
	const none, nospace, corrupt = pb.AlarmType_NONE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT
	r := newRoot()
	a, _ := node(r)
	b, _ := node(r)
	for i, tc := range []struct {
		action pb.AlarmRequest_AlarmAction
		member uint64
		kind   pb.AlarmType
		want   []alarm
	}{
		{get, 0, none, nil},
		{on, 0, none, nil},
		{on, 0, nospace, []alarm{{nospace, 0}}},
		{on, 0, nospace, []alarm{{nospace, 0}}},
		{on, 7, nospace, []alarm{{nospace, 7}}},
		{on, 7, corrupt, []alarm{{corrupt, 7}}},
		{get, 0, none, []alarm{{nospace, 0}, {nospace, 7}, {corrupt, 7}}},
		{get, 0, corrupt, []alarm{{corrupt, 7}}},
		{off, 7, none, nil},
		{off, 0, corrupt, nil},
		{off, 7, nospace, []alarm{{nospace, 7}}},
		{off, 7, nospace, nil},
		{get, 0, none, []alarm{{nospace, 0}, {corrupt, 7}}},
	} {
		if got := do(t, []*Board{a, b}[i%2], tc.action, tc.member, tc.kind); !slices.Equal(got, tc.want) {
			t.Errorf("%d: %v %d %v gives %v, want %v", i, tc.action, tc.member, tc.kind, got, tc.want)
		}
	}
	if _, err := a.Do(t.Context(), &pb.AlarmRequest{Action: 9, Alarm: nospace}); status.Code(err) != codes.Unknown {
		t.Error(err)
	}
	if e := r.epoch(); e != 4 {
		t.Errorf("epoch %d after 4 changes", e)
	}
}

// I1: a change that was overtaken is decided again, over what is there then.
func TestI1Overtaken(t *testing.T) {
	r := newRoot()
	a, _ := node(r)
	b, _ := node(r)
	r.before = func() { do(t, b, pb.AlarmRequest_ACTIVATE, 2, pb.AlarmType_NOSPACE) }
	do(t, a, pb.AlarmRequest_ACTIVATE, 1, pb.AlarmType_NOSPACE)
	if got := do(t, b, pb.AlarmRequest_GET, 0, pb.AlarmType_NONE); len(got) != 2 {
		t.Error(got)
	}
	r.before = func() { do(t, b, pb.AlarmRequest_DEACTIVATE, 1, pb.AlarmType_NOSPACE) }
	if got := do(t, a, pb.AlarmRequest_DEACTIVATE, 1, pb.AlarmType_NOSPACE); got != nil {
		t.Error("cleared twice", got)
	}
}

// services count what comes through, and with what epoch.
type services struct {
	pb.UnimplementedKVServer
	pb.UnimplementedLeaseServer
	epoch uint64
	calls int
	then  func()
}

func (s *services) note(ctx context.Context) {
	s.calls++
	s.epoch, _ = proto.AuthChecked(ctx)
	if s.then != nil {
		s.then()
	}
}

func (s *services) Put(ctx context.Context, _ *pb.PutRequest) (*pb.PutResponse, error) {
	s.note(ctx)
	return &pb.PutResponse{}, nil
}

func (s *services) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	s.note(ctx)
	return &pb.RangeResponse{}, nil
}

func (s *services) DeleteRange(ctx context.Context, _ *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	s.note(ctx)
	return &pb.DeleteRangeResponse{}, nil
}

func (s *services) Txn(ctx context.Context, _ *pb.TxnRequest) (*pb.TxnResponse, error) {
	s.note(ctx)
	return &pb.TxnResponse{}, nil
}

func (s *services) Compact(ctx context.Context, _ *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	s.note(ctx)
	return &pb.CompactionResponse{}, nil
}

func (s *services) LeaseGrant(ctx context.Context, _ *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	s.note(ctx)
	return &pb.LeaseGrantResponse{}, nil
}

func (s *services) LeaseRevoke(ctx context.Context, _ *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	s.note(ctx)
	return &pb.LeaseRevokeResponse{}, nil
}

// room is a store with so much left.
type room struct{ left int64 }

func (r *room) Full(cost int64) bool { return cost >= r.left }

type rig struct {
	*services
	root  *root
	board *Board
	heard *heard
	room  *room
	gate  *Gate
	kv    *KV
	lease *Lease
}

func newRig() *rig {
	r := &rig{services: &services{}, root: newRoot(), room: &room{left: 1 << 30}}
	r.board, r.heard = node(r.root)
	r.gate = NewGate(GateOptions{Board: r.board, Room: r.room, Node: 3, MaxTxnOps: 128})
	r.kv, r.lease = r.gate.KV(r.services), r.gate.Lease(r.services)
	return r
}

func putOp() *pb.RequestOp { return putKeyOp("a") }

func putKeyOp(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
}

func rangeOp() *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a")}}}
}

func deleteOp() *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a")}}}
}

func txnOp(ops ...*pb.RequestOp) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: ops}}}
}

// requests by name.
func (r *rig) requests(ctx context.Context) map[string]error {
	res := map[string]error{}
	_, res["put"] = r.kv.Put(ctx, &pb.PutRequest{Key: []byte("a"), Value: make([]byte, 1000)})
	_, res["range"] = r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
	_, res["delete"] = r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")})
	_, res["txn that reads"] = r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp()}})
	_, res["txn that deletes"] = r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{deleteOp()}})
	_, res["txn that puts"] = r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{putOp()}})
	_, res["txn that may put"] = r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp()}, Failure: []*pb.RequestOp{putOp()}})
	_, res["nested put"] = r.kv.Txn(ctx, &pb.TxnRequest{Failure: []*pb.RequestOp{txnOp(txnOp(putOp()))}})
	_, res["compact"] = r.kv.Compact(ctx, &pb.CompactionRequest{Revision: 1})
	_, res["grant"] = r.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 10})
	_, res["revoke"] = r.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 1})
	return res
}

func expect(t *testing.T, got map[string]error, refusal error, refused ...string) {
	t.Helper()
	for name, err := range got {
		want := error(nil)
		if slices.Contains(refused, name) {
			want = refusal
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// What each alarm refuses, at a node that was not told but hears the epoch.
func TestGate(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	expect(t, r.requests(ctx), nil)
	other, _ := node(r.root)
	do(t, other, pb.AlarmRequest_ACTIVATE, 9, pb.AlarmType_NOSPACE)
	r.heard.Confirm(ctx)
	puts := []string{"put", "txn that puts", "txn that may put", "nested put", "grant"}
	expect(t, r.requests(ctx), rpctypes.ErrGRPCNoSpace, puts...)
	if _, err := r.kv.Put(ctx, &pb.PutRequest{}); err != rpctypes.ErrGRPCEmptyKey {
		t.Error("a bad request is not told so:", err)
	}
	do(t, other, pb.AlarmRequest_ACTIVATE, 9, pb.AlarmType_CORRUPT)
	r.heard.Confirm(ctx)
	expect(t, r.requests(ctx), rpctypes.ErrGRPCCorrupt, append(puts, "delete", "txn that deletes", "compact", "revoke")...)
	do(t, other, pb.AlarmRequest_DEACTIVATE, 9, pb.AlarmType_CORRUPT)
	do(t, other, pb.AlarmRequest_DEACTIVATE, 9, pb.AlarmType_NOSPACE)
	expect(t, r.requests(ctx), nil) // nobody told that it was cleared: what is refused is asked again
}

// I2: a write goes on under the sum of both epochs, so that a leader that knows
// a newer one of either refuses it.
func TestI2EpochTravels(t *testing.T) {
	r := newRig()
	do(t, r.board, pb.AlarmRequest_ACTIVATE, 9, pb.AlarmType_NOSPACE)
	do(t, r.board, pb.AlarmRequest_DEACTIVATE, 9, pb.AlarmType_NOSPACE)
	if _, err := r.kv.Put(proto.WithAuthChecked(t.Context(), 40), &pb.PutRequest{Key: []byte("a")}); err != nil || r.epoch != 42 {
		t.Error(r.epoch, err)
	}
}

// I3: nothing is let through before the alarms were read.
func TestI3Unread(t *testing.T) {
	r := newRig()
	r.root.fail = proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "no quorum")
	if _, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); status.Code(err) != codes.Unavailable || r.calls > 0 {
		t.Error(err, r.calls)
	}
	if _, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("a")}); err != nil {
		t.Error("a read waits for the alarms:", err)
	}
}

// I4: the request that does not fit is refused, and the alarm is raised by then;
// what needs no room goes on.
func TestI4Quota(t *testing.T) {
	for name, refused := range map[string]func(*rig) error{
		"put": func(r *rig) error {
			_, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a"), Value: make([]byte, 1000)})
			return err
		},
		"txn": func(r *rig) error {
			_, err := r.kv.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{putOp(), txnOp(putKeyOp("b"), putKeyOp("c"), putKeyOp("d"))}})
			return err
		},
		"at the leader": func(r *rig) error {
			err := r.gate.Admit(t.Context(), &pontoonpb.RangeOp{AuthChecked: 1, Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{
				Request: txnOp(putOp(), putOp(), putOp(), putOp())}}})
			return proto.ClientError(err)
		},
	} {
		r := newRig()
		r.room.left = 1000
		if _, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); err != nil {
			t.Error(name, "although there is room:", err)
		}
		if err := refused(r); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCNoSpace).Message() || status.Code(err) != codes.ResourceExhausted {
			t.Error(name, err)
		}
		other, _ := node(r.root)
		if got := do(t, other, pb.AlarmRequest_GET, 0, pb.AlarmType_NONE); !slices.Equal(got, []alarm{{pb.AlarmType_NOSPACE, 3}}) {
			t.Error(name, got)
		}
		if _, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a")}); err != rpctypes.ErrGRPCNoSpace {
			t.Error(name, "a small put gets past the alarm:", err)
		}
		if _, err := r.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a")}); err != nil {
			t.Error(name, err)
		}
	}
	r := newRig() // what is not a client's goes on: it ends what was begun
	r.room.left = 0
	if err := r.gate.Admit(t.Context(), &pontoonpb.RangeOp{Op: &pontoonpb.RangeOp_Write{Write: &pontoonpb.WriteOp{Request: putOp()}}}); err != nil {
		t.Error(err)
	}
}

// A grant that an alarm overtook is not answered as a success.
func TestGrantOvertaken(t *testing.T) {
	r := newRig()
	other, _ := node(r.root)
	r.then = func() {
		do(t, other, pb.AlarmRequest_ACTIVATE, 9, pb.AlarmType_NOSPACE)
		r.heard.Confirm(t.Context()) // its header's revision tells
	}
	if _, err := r.lease.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{TTL: 10}); err != rpctypes.ErrGRPCNoSpace {
		t.Error(err)
	}
}

func TestDowngrade(t *testing.T) {
	r := newRoot()
	a, _ := node(r)
	b, heard := node(r)
	ctx := t.Context()
	if err := a.CancelDowngrade(ctx); err != nil || r.epoch() != 0 {
		t.Error(err)
	}
	do(t, a, pb.AlarmRequest_ACTIVATE, 1, pb.AlarmType_NOSPACE)
	if err := errors.Join(b.CheckDowngrade(ctx), a.EnableDowngrade(ctx, "3.6.0")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{b.CheckDowngrade(ctx), b.EnableDowngrade(ctx, "3.6.0")} {
		if err != rpctypes.ErrGRPCDowngradeInProcess {
			t.Error(err)
		}
	}
	heard.Confirm(ctx)
	if s, err := b.Current(ctx); err != nil || b.DowngradeTarget() != "3.6.0" || !s.Raised(pb.AlarmType_NOSPACE) {
		t.Error(s, err)
	}
	if err := errors.Join(b.CancelDowngrade(ctx), a.CheckDowngrade(ctx)); err != nil || a.DowngradeTarget() != "" {
		t.Error(err)
	}
}

// disk is a store on a file system.
type disk struct {
	mu                sync.Mutex
	used, free, total int64
	backlog           int64
	err               error
}

func (d *disk) Backlog() int64 { return d.backlog }

func (d *disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

func (d *disk) Disk() (int64, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, d.total, d.err
}

func TestQuotaLimit(t *testing.T) {
	const gib = 1 << 30
	for _, tc := range []struct {
		bytes int64
		disk  *disk
		limit int64
	}{
		{53248, &disk{free: 1}, 53248},
		{-1, &disk{free: 1, total: 1}, -1},
		{0, &disk{}, -1}, // a file system that does not say
		{0, &disk{used: 5 * gib, free: 50 * gib, total: 100 * gib}, 54 * gib},
		{0, &disk{used: 5 * gib, free: 5 * gib, total: 10 * gib}, 10*gib - gib/2},
		{0, &disk{used: 5 * gib, free: gib / 2, total: 100 * gib}, 5*gib - gib/2},
		{0, &disk{free: 4 * gib, total: 4 * gib, backlog: gib / 4}, 4*gib - gib/4},
		{0, &disk{free: gib / 4, total: gib / 4, backlog: gib / 4}, gib / 8}, // a disk that small can serve something
	} {
		q := NewQuota(QuotaOptions{Store: tc.disk, Bytes: tc.bytes})
		if got := q.Limit(); got != tc.limit {
			t.Errorf("quota %d on %+v: %d, want %d", tc.bytes, tc.disk, got, tc.limit)
		}
		if full := q.Full(0); full != (tc.limit >= 0 && tc.disk.used >= tc.limit) {
			t.Errorf("quota %d on %+v: full %v", tc.bytes, tc.disk, full)
		}
	}
	// A quota that is not used up says nothing of a disk that others fill.
	for _, tc := range []struct {
		disk *disk
		full bool
	}{
		{&disk{used: gib, free: 5 * gib, total: 100 * gib}, false},
		{&disk{used: gib, free: gib, total: 100 * gib}, true},
		{&disk{used: gib, free: gib / 4, total: 4 * gib, backlog: gib / 4}, true},
	} {
		q := NewQuota(QuotaOptions{Store: tc.disk, Bytes: 8 * gib})
		if q.Full(0) != tc.full || q.Limit() != 8*gib {
			t.Errorf("quota on %+v: full %v, limit %d", tc.disk, q.Full(0), q.Limit())
		}
	}
	if q := NewQuota(QuotaOptions{Store: &disk{used: 100}, Bytes: 1000}); q.Full(899) || !q.Full(900) {
		t.Error("the cost does not count as in etcd")
	}
}

// A store that others fill is found out, too, and again after the alarm was
// cleared too early.
func TestQuotaWatchesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoot()
		b, heard := node(r)
		d := &disk{}
		q := NewQuota(QuotaOptions{Store: d, Bytes: 1000, Board: b, Node: 3})
		q.Start()
		time.Sleep(5 * time.Second)
		if r.epoch() != 0 || b.Known() != nil {
			t.Fatal("an alarm without reason")
		}
		set := func(n int64) {
			d.mu.Lock()
			d.used = n
			d.mu.Unlock()
			time.Sleep(2 * time.Second)
		}
		set(1000)
		if got := b.Known(); len(got) != 1 || got[0].MemberID != 3 || got[0].Alarm != pb.AlarmType_NOSPACE {
			t.Fatal(got)
		}
		do(t, b, pb.AlarmRequest_DEACTIVATE, 3, pb.AlarmType_NOSPACE)
		time.Sleep(2 * time.Second)
		if len(b.Known()) != 1 {
			t.Error("not raised again")
		}
		set(10)
		other, _ := node(r)
		do(t, other, pb.AlarmRequest_DEACTIVATE, 3, pb.AlarmType_NOSPACE)
		heard.Confirm(t.Context())
		time.Sleep(2 * time.Second)
		if got := b.Known(); got != nil {
			t.Error("the clearing was not noticed", got)
		}
		q.Close()
	})
}
