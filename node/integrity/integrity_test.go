package integrity

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// cluster answers with sums, and remembers what was raised.
type cluster struct {
	mu     sync.Mutex
	sums   map[proto.NodeID]uint64
	lag    map[proto.NodeID]uint64 // index that a node is behind when asked at any
	down   proto.NodeID
	calls  int
	raised []proto.NodeID
	kinds  []pb.AlarmType
}

const index = 100

func (c *cluster) Call(_ context.Context, node proto.NodeID, op *pontoonpb.RangeOp) (*pontoonpb.RangeReply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if node == c.down {
		return nil, errors.New("down")
	}
	at, sum := index-c.lag[node], c.sums[node]
	if at < op.GetChecksum().Index {
		at = op.GetChecksum().Index
	}
	if at != index {
		sum += at // an older state
	}
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Checksum{Checksum: &pontoonpb.ChecksumReply{Index: at, Sum: sum}}}, nil
}

func (c *cluster) Raise(_ context.Context, member proto.NodeID, kind pb.AlarmType) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raised, c.kinds = append(c.raised, member), append(c.kinds, kind)
	return nil
}

func descriptor(nodes ...uint64) *pontoonpb.Descriptor {
	d := &pontoonpb.Descriptor{RangeId: 3, Span: &pontoonpb.Span{}}
	for _, n := range nodes {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: n})
	}
	return d
}

// I1, and whose alarm it is.
func TestCompareAndReport(t *testing.T) {
	type sums = map[proto.NodeID]uint64
	for name, tc := range map[string]struct {
		cluster *cluster
		nodes   []uint64
		equal   bool
		raised  []proto.NodeID
	}{
		"equal":          {&cluster{sums: sums{1: 7, 2: 7, 3: 7}}, []uint64{1, 2, 3}, true, nil},
		"one lags":       {&cluster{sums: sums{1: 7, 2: 7, 3: 7}, lag: sums{2: 3}}, []uint64{1, 2, 3}, true, nil},
		"one differs":    {&cluster{sums: sums{1: 7, 2: 8, 3: 7}}, []uint64{1, 2, 3}, false, []proto.NodeID{2}},
		"lags, differs":  {&cluster{sums: sums{1: 7, 2: 7, 3: 8}, lag: sums{3: 9}}, []uint64{1, 2, 3}, false, []proto.NodeID{3}},
		"two differ":     {&cluster{sums: sums{1: 7, 2: 8, 3: 7, 4: 9, 5: 7}}, []uint64{1, 2, 3, 4, 5}, false, []proto.NodeID{2, 4}},
		"one is down":    {&cluster{sums: sums{1: 7, 2: 8, 3: 7}, down: 3}, []uint64{1, 2, 3}, false, nil},
		"who is wrong":   {&cluster{sums: sums{1: 7, 2: 8}}, []uint64{1, 2}, false, []proto.NodeID{0}},
		"all for itself": {&cluster{sums: sums{1: 7, 2: 8, 3: 9}}, []uint64{1, 2, 3}, false, []proto.NodeID{0}},
		"alone":          {&cluster{sums: sums{1: 7}}, []uint64{1}, true, nil},
	} {
		resp, err := Compare(t.Context(), tc.cluster, func(context.Context) (*pontoonpb.Descriptor, error) { return descriptor(tc.nodes...), nil })
		if err != nil || resp.Equal != tc.equal {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
		if err := Report(t.Context(), tc.cluster, resp); err != nil || !slices.Equal(tc.cluster.raised, tc.raised) {
			t.Errorf("%s: raised %v, want %v, %v", name, tc.cluster.raised, tc.raised, err)
		}
		if slices.Contains(tc.cluster.kinds, pb.AlarmType_NOSPACE) {
			t.Errorf("%s: %v", name, tc.cluster.kinds)
		}
	}
}

// I2: ranges are read one after the other, with rests that their sizes are
// worth; off means off.
func TestCheckerPaces(t *testing.T) {
	for interval, want := range map[time.Duration]int{0: 0, time.Minute: 3} {
		synctest.Test(t, func(t *testing.T) {
			c := &cluster{sums: map[proto.NodeID]uint64{1: 7}}
			led := []*pontoonpb.RangeStatus{{Desc: descriptor(1), SizeBytes: 160 << 20}, {Desc: descriptor(1), SizeBytes: -1}, {Desc: descriptor(1)}}
			k := NewChecker(Options{Interval: interval, Led: func() []*pontoonpb.RangeStatus { return led }, Calls: c, Alarms: c})
			k.Start()
			calls := func() int {
				synctest.Wait()
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.calls
			}
			time.Sleep(time.Minute)
			if n := calls(); n != min(want, 1) {
				t.Errorf("%d ranges read at once", n)
			}
			time.Sleep(9 * time.Second)
			if n := calls(); n != min(want, 1) {
				t.Errorf("%d ranges read while 160 MiB are worth 10 s", n)
			}
			time.Sleep(2 * time.Second)
			if n := calls(); n != want {
				t.Errorf("%d ranges read, want %d", n, want)
			}
			k.Close()
		})
	}
}
