package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// replicas are those of node 2; ids divisible by 7 vanish while they are shown.
type replicas struct {
	ids    []proto.RangeID
	shown  int
	secret bool
}

func (r *replicas) RangeIDs() []proto.RangeID { return r.ids }

func (r *replicas) Show(id proto.RangeID) (*pontoonpb.RangeStatus, int, error) {
	r.shown++
	if id%7 == 0 {
		return nil, 0, nil
	}
	st := &pontoonpb.RangeStatus{
		Desc: &pontoonpb.Descriptor{
			RangeId: uint64(id), Generation: 3,
			Span:     &pontoonpb.Span{Start: keys.User(fmt.Appendf(nil, "<k>%05d", id)), End: keys.Max},
			Replicas: []*pontoonpb.Replica{{NodeId: 1}, {NodeId: 2, Role: pontoonpb.ReplicaRole_REPLICA_LEARNER}},
		},
		NodeId: 2, LeaderNode: 1, Term: 5, FirstIndex: 6, AppliedIndex: 7, LastIndex: 8, Closed: 90, LiveKeys: -1,
	}
	if id == 1 {
		st.LeaderNode, st.LeaderLeaseValid = 2, true
		st.Load = &pontoonpb.RangeLoad{WritesPerSecond: 12.5, Busy: 0.25}
	}
	st.Hibernating = id == 2
	return st, int(id), nil
}

func (r *replicas) KeysOpen(context.Context) bool   { return !r.secret }
func (r *replicas) Seen() proto.Revision            { return 100 }
func (r *replicas) NodeName(id proto.NodeID) string { return fmt.Sprintf("n%d", id) }

func TestRangesAreShownInPages(t *testing.T) {
	rs := &replicas{}
	for i := range 10_000 {
		rs.ids = append(rs.ids, proto.RangeID(i+1))
	}
	h := New(Options{Ranges: rs, Gatherer: prometheus.NewRegistry(), Timeout: time.Second, Access: plainAccess()}).Client
	code, body := get(h, "GET", "/debug/ranges")
	lines := strings.Split(body, "\n")
	if code != 200 || lines[0] != "10000 replicas on this node" || !strings.Contains(body, "more: /debug/ranges?after=200\n") {
		t.Fatal(code, lines[0])
	}
	for i, want := range []string{
		`1 "<k>00001" end 3 leader n2 5 6 7 8 90 10 1 -1 0 12.5 0.0 0.25 active`,
		`2 "<k>00002" end 3 learner n1 5 6 7 8 90 10 2 -1 0 0.0 0.0 0.00 asleep`,
	} {
		if got := strings.Join(strings.Fields(lines[3+i]), " "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if rs.shown != pageSize {
		t.Errorf("%d replicas looked at for one page", rs.shown)
	}
	var seen []uint64
	for after, pages := uint64(0), 0; pages == 0 || after != 0; pages++ {
		var p rangesPage
		_, body := get(h, "GET", fmt.Sprintf("/debug/ranges?format=json&limit=5000&after=%d", after))
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Replicas != 10_000 {
			t.Fatal(err)
		}
		for _, v := range p.Ranges {
			seen = append(seen, v.Range)
		}
		after = p.Next
		if pages > 10 {
			t.Fatal("pages do not end")
		}
	}
	if len(seen) != 10_000-10_000/7 || !slices.IsSorted(seen) {
		t.Errorf("%d ranges over all pages", len(seen))
	}
}

func TestOneRangeAndBadRequests(t *testing.T) {
	h := New(Options{Ranges: &replicas{ids: []proto.RangeID{1, 2, 3, 7}}, Gatherer: prometheus.NewRegistry(), Timeout: time.Second, Access: plainAccess()}).Client
	for path, want := range map[string]string{
		"?range=2&format=json": `"ranges":[{"range":2,`,
		"?range=3":             `"<k>00003"`,
		"?after=3":             "4 replicas on this node",
	} {
		if code, body := get(h, "GET", "/debug/ranges"+path); code != 200 || !strings.Contains(body, want) || strings.Contains(body, "more") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	for path, want := range map[string]int{
		"?range=7": 404, "?range=5": 404, "?range=0": 400, "?after=x": 400, "?limit=0": 400, "?limit=-1": 400, "?format=xml": 400, "?range=x": 400,
	} {
		if code, body := get(h, "GET", "/debug/ranges"+path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, _ := get(h, "POST", "/debug/ranges"); code != 405 {
		t.Error(code)
	}
}

// Where authentication is on, the page tells no keys.
func TestRangesHideKeys(t *testing.T) {
	h := New(Options{Ranges: &replicas{ids: []proto.RangeID{3}, secret: true}, Gatherer: prometheus.NewRegistry(), Timeout: time.Second, Access: plainAccess()}).Client
	for _, path := range []string{"/debug/ranges", "/debug/ranges?format=json"} {
		if code, body := get(h, "GET", path); code != 200 || strings.Contains(body, "00003") || !strings.Contains(body, "hidden") || !strings.Contains(body, "end") {
			t.Error(code, body)
		}
	}
}

func get(h http.Handler, method, path string) (int, string) {
	w := ask(h, method, path)
	return w.Code, w.Body.String()
}
