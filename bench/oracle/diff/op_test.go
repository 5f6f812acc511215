package diff

import (
	"math"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// D1: every generated operation survives the round through its text form.
func TestFormatAndParseAreInverse(t *testing.T) {
	g := NewGenerator(Plan{Seed: 11, Ops: 20_000, Splits: 40, Merges: 20, Moves: 20, Transfers: 20, Expiries: 5})
	var ops []Op
	for {
		o, ok := g.Next(State{Now: 500, Compacted: 300})
		if !ok {
			break
		}
		ops = append(ops, o)
	}
	parsed, err := Parse(Format(ops))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed) != len(ops) {
		t.Fatalf("%d operations became %d", len(ops), len(parsed))
	}
	for i, o := range ops {
		p := parsed[i]
		if p.Kind != o.Kind || p.Gateway != o.Gateway || p.N != o.N || !proto.Equal(p.Msg, o.Msg) {
			t.Fatalf("%s\nbecame\n%s", o, p)
		}
	}
}

func TestGeneratorIsSeededAndMakesEveryKind(t *testing.T) {
	all := func(seed uint64) ([]string, map[Kind]int) {
		g := NewGenerator(Plan{Seed: seed, Ops: 5000, Splits: 10, Merges: 3, Moves: 3, Transfers: 3, Expiries: 2})
		var lines []string
		kinds := map[Kind]int{}
		for {
			o, ok := g.Next(State{Now: 500, Compacted: 300})
			if !ok {
				return lines, kinds
			}
			lines = append(lines, Format([]Op{{Kind: o.Kind, Gateway: o.Gateway, N: o.N, Msg: o.Msg}}))
			kinds[o.Kind]++
		}
	}
	a, kinds := all(1)
	b, _ := all(1)
	c, _ := all(2)
	if len(a) != len(b) {
		t.Fatalf("the same seed made %d and %d operations", len(a), len(b))
	}
	if len(a) == len(c) && a[len(a)/2] == c[len(c)/2] {
		t.Fatal("another seed made the same operations")
	}
	for kind := range newMessage {
		if kinds[kind] == 0 {
			t.Errorf("no operation of kind %s", kind)
		}
	}
	if kinds[KindSplit] != 10 || kinds[KindExpire] != 2 {
		t.Errorf("%d splits, %d expiries", kinds[KindSplit], kinds[KindExpire])
	}
}

func TestReferencesHaveNamesAndResolve(t *testing.T) {
	o, err := ParseOp(`txn gw=1 n=0 | compare:{target:MOD key:"a" mod_revision:now-3} success:{request_range:{key:"b" revision:compacted+1}} success:{request_put:{key:"c" value:"\001big:4:x" lease:L2}}`)
	if err != nil {
		t.Fatal(err)
	}
	got := resolve(o.Msg, 100, 40).(*pb.TxnRequest)
	if r := got.Compare[0].GetModRevision(); r != 97 {
		t.Errorf("now-3 = %d", r)
	}
	if r := got.Success[0].GetRequestRange().Revision; r != 41 {
		t.Errorf("compacted+1 = %d", r)
	}
	put := got.Success[1].GetRequestPut()
	if string(put.Value) != "xxxx" || put.Lease != Lease(2) {
		t.Errorf("put %s", put)
	}
	mapLeases(got, func(id int64) int64 {
		if id == Lease(2) {
			return 77
		}
		return id
	})
	if put.Lease != 77 {
		t.Errorf("L2 = %d", put.Lease)
	}
	if inWindow(math.MaxInt64, leaseBase) {
		t.Error("the largest id is taken for a symbol")
	}
}

func TestParseRefusesWhatIsNoOperation(t *testing.T) {
	for _, line := range []string{"range", "jump gw=0 n=0 | ", `range gw=0 n=0 | key:`, `put gw=0 n=0 | range_end:"a"`} {
		if _, err := ParseOp(line); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
	ops, err := Parse("# a comment\n\nleases gw=0 n=0 | \n")
	if err != nil || len(ops) != 1 {
		t.Fatalf("%v, %v", ops, err)
	}
}

func TestWatchesKnowsEveryShapeOfRange(t *testing.T) {
	put := func(key string) historyEvent { return historyEvent{rev: 2, key: key} }
	for _, c := range []struct {
		key, end string
		event    historyEvent
		filters  []pb.WatchCreateRequest_FilterType
		want     bool
	}{
		{"a", "", put("a"), nil, true},
		{"a", "", put("aa"), nil, false},
		{"", "", put("\x00"), nil, true},
		{"a", "\x00", put("\xff"), nil, true},
		{"b", "\x00", put("a"), nil, false},
		{"a", "c", put("b"), nil, true},
		{"a", "c", put("c"), nil, false},
		{"a", "c", put("b"), []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}, false},
		{"a", "c", historyEvent{key: "b", delete: true}, []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}, false},
		{"a", "c", historyEvent{key: "b", delete: true}, []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}, true},
	} {
		create := &pb.WatchCreateRequest{Key: []byte(c.key), RangeEnd: []byte(c.end), Filters: c.filters}
		if got := watches(create, c.event); got != c.want {
			t.Errorf("watches([%q, %q) %v, %+v) = %v", c.key, c.end, c.filters, c.event, got)
		}
	}
}

func kv(key, value string, mod int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: mod, CreateRevision: mod, Version: 1}
}

// Ties of a sort may come in any order and be cut anywhere, but nothing else may
// differ.
func TestTiesOnlyAllowsTiesOnly(t *testing.T) {
	a, b, c := kv("a", "1", 2), kv("b", "1", 3), kv("c", "2", 4)
	full := map[string]*mvccpb.KeyValue{"a": a, "b": b, "c": c}
	req := &pb.RangeRequest{SortTarget: pb.RangeRequest_VALUE}
	changed := kv("b", "1", 9)
	for name, x := range map[string]struct {
		subject []*mvccpb.KeyValue
		want    bool
	}{
		"same":            {[]*mvccpb.KeyValue{a, c}, true},
		"another tie":     {[]*mvccpb.KeyValue{b, c}, true},
		"another value":   {[]*mvccpb.KeyValue{c, c}, false},
		"wrong order":     {[]*mvccpb.KeyValue{c, a}, false},
		"too few":         {[]*mvccpb.KeyValue{a}, false},
		"changed key":     {[]*mvccpb.KeyValue{changed, c}, false},
		"not in the read": {[]*mvccpb.KeyValue{kv("x", "1", 2), c}, false},
	} {
		if got := tiesOnly(req, full, []*mvccpb.KeyValue{a, c}, x.subject); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if tiesOnly(req, full, []*mvccpb.KeyValue{a, b}, []*mvccpb.KeyValue{a, a}) {
		t.Error("a repeated key was taken for a tie")
	}
}

// D3: ids and terms may differ, but not whether they are set.
func TestEqualAnswersMasksIdsOnly(t *testing.T) {
	of := func(cluster, member, term uint64, rev int64) answer {
		return answer{msg: &pb.PutResponse{Header: &pb.ResponseHeader{ClusterId: cluster, MemberId: member, RaftTerm: term, Revision: rev}}}
	}
	base := of(1, 2, 3, 9)
	for _, c := range []struct {
		name  string
		other answer
		want  bool
	}{
		{"other ids", of(7, 8, 9, 9), true},
		{"no member", of(7, 0, 9, 9), false},
		{"another revision", of(1, 2, 3, 10), false},
		{"no header", answer{msg: &pb.PutResponse{}}, false},
		{"an error", answer{code: 5, text: "x"}, false},
	} {
		if got := equalAnswers(base, c.other); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	ttl := func(n int64, keys ...string) answer {
		r := &pb.LeaseTimeToLiveResponse{TTL: n, GrantedTTL: 100}
		for _, k := range keys {
			r.Keys = append(r.Keys, []byte(k))
		}
		return answer{msg: r}
	}
	if !equalAnswers(ttl(90, "a", "b"), ttl(88, "b", "a")) || equalAnswers(ttl(90), ttl(50)) || equalAnswers(ttl(1), ttl(-1)) {
		t.Error("the time to live is compared too strictly or too loosely")
	}
}

// shrink keeps exactly what the difference needs.
func TestShrinkRemovesWhatDoesNotMatter(t *testing.T) {
	var ops []Op
	for i := range 200 {
		ops = append(ops, Op{Kind: KindLeases, N: i, Msg: &pb.LeaseLeasesRequest{}})
	}
	trials := 0
	needs := func(ops []Op) ([]Op, *Difference) {
		trials++
		seen := map[int]bool{}
		for i, o := range ops {
			seen[o.N] = true
			if seen[17] && seen[93] && o.N == 150 {
				return ops[:i+1], &Difference{}
			}
		}
		return nil, nil
	}
	got, _ := shrink(t.Context(), ops, &Difference{}, needs)
	if len(got) != 3 || got[0].N != 17 || got[1].N != 93 || got[2].N != 150 {
		t.Fatalf("shrunk to %d operations: %s", len(got), Format(got))
	}
	if trials > 100 {
		t.Errorf("%d trials", trials)
	}
}
