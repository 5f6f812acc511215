package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// root is the root range reduced to its records.
type root struct {
	mu      sync.Mutex
	records map[string][]byte
	writes  int
	fail    int    // operations to fail
	between func() // runs once before the next write
}

func newRoot() *root { return &root{records: map[string][]byte{}} }

func (r *root) Send(_ context.Context, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	r.mu.Lock()
	if f := r.between; f != nil && op.GetSysWrite() != nil {
		r.between = nil
		r.mu.Unlock()
		f()
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if r.fail > 0 {
		r.fail--
		return nil, errors.New("no leader")
	}
	if read := op.GetSysRead(); read != nil {
		return r.read(proto.SpanOf(op.Span), read.Limit), nil
	}
	w := op.GetSysWrite()
	for _, c := range w.Conditions {
		if have, ok := r.records[string(c.Key)]; ok != (len(c.Value) > 0) || !bytes.Equal(have, c.Value) {
			return &pontoonpb.RangeReply{Error: proto.ToWire(proto.Errorf(pontoonpb.RangeErrorCode_CONDITION_FAILED, "condition"))}, nil
		}
	}
	for _, p := range w.Puts {
		r.records[string(p.Key)] = p.Value
	}
	for _, d := range w.Deletes {
		delete(r.records, string(d))
	}
	r.writes++
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysWrite{SysWrite: &pontoonpb.SysWriteReply{}}}, nil
}

func (r *root) read(span proto.Span, limit int64) *pontoonpb.RangeReply {
	var sorted []string
	for k := range r.records {
		if span.Contains([]byte(k)) {
			sorted = append(sorted, k)
		}
	}
	slices.Sort(sorted)
	reply := &pontoonpb.SysReadReply{}
	for _, k := range sorted {
		if limit > 0 && int64(len(reply.Records)) == limit {
			break
		}
		reply.Records = append(reply.Records, &pontoonpb.SysRecord{Key: []byte(k), Value: r.records[k]})
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SysRead{SysRead: reply}}
}

func started(t *testing.T) (*Directory, *root) {
	t.Helper()
	r := newRoot()
	d := New(r)
	bootstrapped(t, d)
	return d, r
}

// bootstrapped writes what the bootstrap of a cluster leaves in the root range.
func bootstrapped(t *testing.T, d *Directory) {
	t.Helper()
	records, err := InitialRecords(Bootstrap([]proto.NodeID{1}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.write(t.Context(), &pontoonpb.SysWriteOp{Puts: records}); err != nil {
		t.Fatal(err)
	}
}

func desc(id, generation uint64, start, end []byte) *pontoonpb.Descriptor {
	return &pontoonpb.Descriptor{RangeId: id, Generation: generation, Span: proto.Span{Start: start, End: end}.Wire()}
}

// lookups checks that the records tile the keyspace (I1) and returns id per
// probe key.
func lookups(t *testing.T, d *Directory, probes ...string) []uint64 {
	t.Helper()
	all, err := d.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := keys.MetaSpan.Start
	for _, r := range all {
		if !bytes.Equal(r.Span.Start, next) {
			t.Fatalf("I1: record %v does not start at %x", r, next)
		}
		next = r.Span.End
	}
	if !bytes.Equal(next, keys.Max) {
		t.Fatalf("I1: records end at %x", next)
	}
	var ids []uint64
	for _, p := range probes {
		found, err := d.Lookup(t.Context(), keys.User([]byte(p)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, found.RangeId)
	}
	return ids
}

// Every node computes the same ranges, whatever order it was told the members
// in; ids are etcd's.
func TestBootstrap(t *testing.T) {
	a, b := Bootstrap([]proto.NodeID{5, 3, 9, 1, 7}), Bootstrap([]proto.NodeID{9, 7, 5, 3, 1})
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Fatalf("%v\n%v", a, b)
	}
	for i, want := range [][]uint64{{1, 3, 5, 7, 9}, {1, 3, 5}, {1, 3, 5}} {
		var nodes []uint64
		for j, r := range a[i].Replicas {
			nodes = append(nodes, r.NodeId)
			if r.ReplicaId != uint64(j+1) {
				t.Errorf("replica %v in place %d", r, j)
			}
		}
		if !slices.Equal(nodes, want) || a[i].NextReplicaId != uint64(len(want)+1) || a[i].Generation != 1 {
			t.Errorf("range %d: %v", i+1, a[i])
		}
	}
	if n := len(Bootstrap([]proto.NodeID{4})[0].Replicas); n != 1 {
		t.Errorf("single node: %d replicas", n)
	}
	// As etcd names the only member of its default cluster.
	id := MemberID([]string{"http://localhost:2380"}, "etcd-cluster")
	if id != 0x8e9e05c52164694d || ClusterID([]proto.NodeID{id}) != 0xcdf818194e3a8c32 {
		t.Errorf("member %x, cluster %x", uint64(id), ClusterID([]proto.NodeID{id}))
	}
}

// I1, I2: the sides of a split may be published in any order.
func TestI2SplitEitherOrder(t *testing.T) {
	left := desc(3, 2, keys.UserSpan.Start, keys.User([]byte("m")))
	right := desc(4, 2, keys.User([]byte("m")), keys.Max)
	for _, order := range [][]*pontoonpb.Descriptor{{left, right}, {right, left}, {right, left, right, left}} {
		d, r := started(t)
		for _, p := range order {
			if err := d.Publish(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			lookups(t, d)
		}
		if got := lookups(t, d, "a", "l", "m", "z"); !slices.Equal(got, []uint64{3, 3, 4, 4}) {
			t.Fatalf("got %v", got)
		}
		writes := r.writes
		for _, p := range []*pontoonpb.Descriptor{left, right, desc(3, 1, keys.UserSpan.Start, keys.Max)} {
			if err := d.Publish(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if r.writes != writes {
			t.Fatal("I2: publishing what is old or known changed the directory")
		}
	}
}

// I1, I2: histories of splits, merges and replica changes, published in any order and
// again, end with the newest everywhere.
func TestI2AnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		live := []*pontoonpb.Descriptor{desc(3, 1, keys.UserSpan.Start, keys.Max)}
		var history []*pontoonpb.Descriptor
		nextID := uint64(4)
		for range 12 {
			i := rng.IntN(len(live))
			old := live[i]
			at := keys.User([]byte{byte('a' + rng.IntN(26)), byte('a' + rng.IntN(26))})
			span := proto.SpanOf(old.Span)
			if j := slices.IndexFunc(live, func(d *pontoonpb.Descriptor) bool { return bytes.Equal(d.Span.Start, span.End) }); j >= 0 && rng.IntN(3) == 0 {
				live[i] = desc(old.RangeId, max(old.Generation, live[j].Generation)+1, span.Start, live[j].Span.End)
				history = append(history, live[i])
				live = slices.Delete(live, j, j+1)
				continue
			}
			if rng.IntN(4) == 0 || !span.Contains(at) || bytes.Equal(at, span.Start) {
				live[i] = desc(old.RangeId, old.Generation+1, span.Start, span.End)
				history = append(history, live[i])
				continue
			}
			live[i] = desc(old.RangeId, old.Generation+1, span.Start, at)
			right := desc(nextID, old.Generation+1, at, span.End)
			nextID++
			live = append(live, right)
			history = append(history, live[i], right)
		}
		history = append(history, history[:len(history)/2]...)
		rng.Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
		d, _ := started(t)
		for _, h := range history {
			if err := d.Publish(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			lookups(t, d)
		}
		for _, want := range live {
			got, err := d.Lookup(t.Context(), want.Span.Start)
			if err != nil || got.String() != want.String() {
				t.Fatalf("seed %d: got %v, %v, want %v", seed, got, err, want)
			}
		}
	}
}

// I2: a publication that races with another starts over.
func TestI2Race(t *testing.T) {
	d, r := started(t)
	left := desc(3, 2, keys.UserSpan.Start, keys.User([]byte("m")))
	right := desc(4, 2, keys.User([]byte("m")), keys.Max)
	r.between = func() {
		if err := d.Publish(t.Context(), right); err != nil {
			t.Error(err)
		}
	}
	if err := d.Publish(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	if got := lookups(t, d, "a", "z"); !slices.Equal(got, []uint64{3, 4}) {
		t.Fatalf("got %v", got)
	}
}

// I3: ids are given out once, also to those who race.
func TestI3AllocRangeID(t *testing.T) {
	d, r := started(t)
	var other proto.RangeID
	r.between = func() {
		var err error
		if other, err = d.AllocRangeID(t.Context()); err != nil {
			t.Error(err)
		}
	}
	mine, err := d.AllocRangeID(t.Context())
	if err != nil || other != 4 || mine != 5 {
		t.Fatalf("got %d and %d, %v", other, mine, err)
	}
}

// The publisher retries until the newest descriptor is in.
func TestPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoot()
		d := New(r)
		bootstrapped(t, d)
		r.fail = 5
		p := NewPublisher(d, PublisherOptions{})
		p.Start()
		defer p.Close()
		p.Changed(desc(3, 3, keys.UserSpan.Start, keys.User([]byte("g"))))
		p.Changed(desc(3, 2, keys.UserSpan.Start, keys.User([]byte("m"))))
		p.Changed(desc(4, 2, keys.User([]byte("m")), keys.Max))
		p.Changed(desc(5, 3, keys.User([]byte("g")), keys.User([]byte("m"))))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := lookups(t, d, "a", "h", "z"); !slices.Equal(got, []uint64{3, 5, 4}) {
			t.Fatalf("got %v", got)
		}
	})
}

// I2: an older descriptor that races with a newer one of the same span loses.
func TestI2RaceOfGenerations(t *testing.T) {
	d, r := started(t)
	newer := desc(3, 3, keys.UserSpan.Start, keys.Max)
	r.between = func() {
		if err := d.Publish(t.Context(), newer); err != nil {
			t.Error(err)
		}
	}
	if err := d.Publish(t.Context(), desc(3, 2, keys.UserSpan.Start, keys.Max)); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Lookup(t.Context(), keys.User([]byte("k"))); err != nil || got.Generation != 3 {
		t.Fatalf("got %v, %v", got, err)
	}
}
