package kubeload

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func testRNG() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

var testText = fillerText(testRNG(), 64<<10)

func encoded(key string, attempt uint64) []byte {
	return []byte(value{attempt: attempt, counter: 1, key: key}.encode(600, testText, testRNG()))
}

func kv(key string, attempt uint64, create, mod int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: encoded(key, attempt), CreateRevision: create, ModRevision: mod}
}

// I1: a damaged, foreign or truncated value is seen.
func TestValueDetectsDamage(t *testing.T) {
	good := encoded("/a", 7)
	if v, err := decode([]byte("/a"), good); err != nil || v.attempt != 7 {
		t.Fatal(v, err)
	}
	if _, err := decode([]byte("/b"), good); err == nil {
		t.Error("value of another key accepted")
	}
	for _, i := range []int{0, 5, len(good) / 2, len(good) - 1} {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, err := decode([]byte("/a"), bad); err == nil {
			t.Errorf("byte %d damaged and accepted", i)
		}
	}
	if _, err := decode([]byte("/a"), good[:len(good)-3]); err == nil {
		t.Error("truncated value accepted")
	}
}

func TestBookSeesBrokenHistories(t *testing.T) {
	acked := func() *object {
		o := &object{key: "/a"}
		if err := o.acknowledged(0, 10, value{attempt: 1, counter: 1}); err != nil {
			t.Fatal(err)
		}
		return o
	}
	tests := map[string]struct {
		want string
		run  func(o *object) error
	}{
		"I3 lost update": {"update lost", func(o *object) error {
			return o.acknowledged(5, 12, value{attempt: 2})
		}},
		"revision twice": {"two writes", func(o *object) error { return o.acknowledged(9, 10, value{attempt: 2}) }},
		"not above base": {"written at", func(o *object) error { return o.acknowledged(10, 10, value{attempt: 2}) }},
		"I2 stale read":  {"acknowledged before", func(o *object) error { return o.judge(o.view(), 9) }},
		"I2 vanished":    {"not found", func(o *object) error { return o.judge(o.view(), 0) }},
		"I6 lost":        {"lost", func(o *object) error { return o.final(false, 0, value{}) }},
		"I6 other value": {"is attempt 3", func(o *object) error { return o.final(true, 11, value{attempt: 3}) }},
		"I6 rolled back": {"is attempt 1", func(o *object) error {
			_ = o.acknowledged(10, 20, value{attempt: 2})
			return o.final(true, 10, value{attempt: 1, counter: 1})
		}},
		"I6 back from a delete": {"is attempt 1", func(o *object) error {
			_ = o.acknowledged(10, 20, value{})
			return o.final(true, 10, value{attempt: 1, counter: 1})
		}},
	}
	for name, test := range tests {
		if err := test.run(acked()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is explained is not reported.
	o := acked()
	o.unanswered(4)
	o.unanswered(0)
	for _, err := range []error{o.final(true, 12, value{attempt: 4}), o.final(false, 0, value{}), o.judge(o.view(), 0)} {
		if err != nil {
			t.Error(err)
		}
	}
}

// I4: pages that a store must not return.
func TestPagesAreChecked(t *testing.T) {
	page := func(rev, count int64, more bool, kvs ...*mvccpb.KeyValue) *clientv3.GetResponse {
		return &clientv3.GetResponse{Header: &etcdserverpb.ResponseHeader{Revision: rev}, Count: count, More: more, Kvs: kvs}
	}
	a, b := kv("/p/a", 1, 2, 2), kv("/p/b", 2, 3, 3)
	for name, test := range map[string]struct {
		page *clientv3.GetResponse
		last string
		bad  bool
	}{
		"good":                 {page(9, 2, false, a, b), "", false},
		"good, more follows":   {page(9, 5, true, a, b), "", false},
		"falling revision":     {page(5, 2, false, a, b), "", true},
		"unordered":            {page(9, 2, false, b, a), "", true},
		"repeats a key":        {page(9, 2, false, a, b), "/p/a", true},
		"count hides the rest": {page(9, 2, true, a, b), "", true},
		"count without more":   {page(9, 3, false, a, b), "", true},
		"newer than the list":  {page(9, 1, false, kv("/p/c", 3, 10, 10)), "", true},
		"outside the prefix":   {page(9, 1, false, kv("/q", 3, 4, 4)), "", true},
	} {
		l := &Loader{tally: newTally()}
		(&worker{l: l}).checkPage("/p/", test.page, 9, test.last)
		if got := len(l.tally.report.Violations) > 0; got != test.bad {
			t.Errorf("%s: %v", name, l.tally.report.Violations)
		}
	}
}

// I5: events that do not follow from what came before.
func TestInformerSeesBrokenWatches(t *testing.T) {
	put := func(now, prev *mvccpb.KeyValue) *clientv3.Event {
		return &clientv3.Event{Type: clientv3.EventTypePut, Kv: now, PrevKv: prev}
	}
	first, second := kv("/p/a", 1, 5, 5), kv("/p/a", 2, 5, 6)
	for name, test := range map[string]struct {
		events []*clientv3.Event
		header int64
		bad    bool
	}{
		"good":                   {[]*clientv3.Event{put(first, nil), put(second, first)}, 6, false},
		"gap":                    {[]*clientv3.Event{put(first, nil), put(kv("/p/a", 3, 5, 8), second)}, 8, true},
		"update without create":  {[]*clientv3.Event{put(second, first)}, 6, true},
		"no prev_kv":             {[]*clientv3.Event{put(first, nil), put(second, nil)}, 6, true},
		"create again":           {[]*clientv3.Event{put(first, nil), put(kv("/p/a", 2, 6, 6), nil)}, 6, true},
		"at or below the list's": {[]*clientv3.Event{put(kv("/p/a", 1, 4, 4), nil)}, 4, true},
		"delete of nothing": {[]*clientv3.Event{{Type: clientv3.EventTypeDelete,
			Kv: &mvccpb.KeyValue{Key: []byte("/p/a"), ModRevision: 6}}}, 6, true},
	} {
		l := &Loader{tally: newTally()}
		l.tally.enter("test")
		inf := &informer{l: l, prefix: "/p/", cache: map[string]cached{}, covered: 4}
		inf.apply(clientv3.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: test.header}, Events: test.events})
		if got := len(l.tally.report.Violations) > 0; got != test.bad {
			t.Errorf("%s: %v", name, l.tally.report.Violations)
		}
	}
	l := &Loader{tally: newTally()}
	inf := &informer{l: l, prefix: "/p/", cache: map[string]cached{"/p/a": {5, 1}, "/p/b": {6, 2}}}
	inf.compare(map[string]cached{"/p/a": {7, 3}, "/p/c": {8, 4}})
	if len(l.tally.report.Violations) != 3 {
		t.Errorf("differences of a cache: %v", l.tally.report.Violations)
	}
}

func TestSplitKeysAreBalanced(t *testing.T) {
	const objects, n = 20000, 16
	splits := SplitKeys("/registry", objects, n)
	if len(splits) != n-1 || !slices.IsSorted(splits) {
		t.Fatal(splits)
	}
	rng := testRNG()
	b := newBook()
	per := make([]int, n)
	for range objects {
		o := b.add("/registry", pickResource(rng, func(r *resource) int { return r.share }))
		i, found := slices.BinarySearch(splits, o.key)
		if found {
			i++
		}
		per[i]++
	}
	for i, c := range per {
		if c < objects/n/2 || c > objects/n*2 {
			t.Errorf("part %d has %d of %d objects: %v", i, c, objects, per)
			break
		}
	}
}
