package diff

import (
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
)

// P28: a serializable read may be stale, but then it is what was stored at its
// revision, and the gateway does not go back behind what it has answered.
func TestStaleReadsAreChecked(t *testing.T) {
	oracle, _, stop, err := Clusters("etcd", 1)()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s, err := dial(oracle)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r := &Runner{oracle: s, subject: s, state: State{Now: 3, Compacted: -1}, floors: make([]int64, 1), progress: new(Progress)}
	for _, value := range []string{"old", "new"} {
		if a := s.call(t.Context(), Op{Kind: KindPut}, &pb.PutRequest{Key: []byte("a"), Value: []byte(value)}); !a.ok() {
			t.Fatal(a)
		}
	}
	o, req := Op{Kind: KindRange}, &pb.RangeRequest{Key: []byte("a"), Serializable: true}
	now := s.call(t.Context(), o, req)
	at := func(rev, mod, version int64, value string) answer {
		return answer{msg: &pb.RangeResponse{
			Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 1, RaftTerm: 1, Revision: rev}, Count: 1,
			Kvs: []*mvccpb.KeyValue{{Key: []byte("a"), Value: []byte(value), CreateRevision: 2, ModRevision: mod, Version: version}},
		}}
	}
	for name, c := range map[string]struct {
		subject answer
		floor   int64
		want    string
	}{
		"stale but true":      {at(2, 2, 1, "old"), 2, ""},
		"behind the gateway":  {at(2, 2, 1, "old"), 3, "below 3"},
		"of another revision": {at(2, 3, 2, "new"), 2, "not what was stored"},
		"of the future":       {at(4, 3, 2, "new"), 2, "in the future"},
		"refused":             {answer{code: 14, text: "no"}, 2, "fails"},
	} {
		d, err := r.checkStale(t.Context(), o, req, now, c.subject, c.floor)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" && d != nil || c.want != "" && (d == nil || !strings.Contains(d.What, c.want)) {
			t.Errorf("%s: %v", name, d)
		}
	}
	ahead := &pb.RangeRequest{Key: []byte("a"), Serializable: true, Revision: 4}
	future := answer{code: codes.OutOfRange, text: "etcdserver: mvcc: required revision is a future revision"}
	if d, _ := r.checkStale(t.Context(), o, ahead, future, at(3, 3, 2, "new"), 0); d == nil || !strings.Contains(d.What, "a read of the future") {
		t.Errorf("an answer at a revision that does not exist yet: %v", d)
	}
	// Asked again it must become current, which it does here.
	if d, err := r.staleRead(t.Context(), o, req, at(2, 2, 1, "old"), []int64{2}); d != nil || err != nil {
		t.Errorf("%v, %v", d, err)
	}
}

// What a watch stream answers comes from the gateway that it was opened at.
func TestFloorsOfStreams(t *testing.T) {
	r := &Runner{
		subject: &side{streams: map[int]*stream{2: {gateway: 1}}}, floors: make([]int64, 3), progress: new(Progress),
	}
	said := answer{msg: &pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 5}}}
	r.saw(Op{Kind: KindWatch, Gateway: 0, N: 2}, said, said)
	if r.floors[0] != 0 || r.floors[1] != 5 {
		t.Errorf("floors %v", r.floors)
	}
}
