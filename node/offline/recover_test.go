package offline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/placement/directory"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	voter   = pontoonpb.ReplicaRole_REPLICA_VOTER
	learner = pontoonpb.ReplicaRole_REPLICA_LEARNER
	in      = pontoonpb.ReplicaRole_REPLICA_INCOMING
	out     = pontoonpb.ReplicaRole_REPLICA_OUTGOING
)

func desc(id uint64, start, end string, generation uint64, nodes ...uint64) *pontoonpb.Descriptor {
	d := &pontoonpb.Descriptor{RangeId: id, Generation: generation, NextReplicaId: uint64(len(nodes) + 1),
		Span: &pontoonpb.Span{Start: []byte(start), End: []byte(end)}}
	for i, n := range nodes {
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: n, ReplicaId: uint64(i + 1)})
	}
	return d
}

// five are the ranges of a cluster of five nodes; nodes 1, 2 and 3 will be lost.
func five() []*pontoonpb.Descriptor {
	return []*pontoonpb.Descriptor{
		desc(1, "\x01", "\x02", 7, 1, 2, 4),
		desc(2, "\x02", "\x03", 1, 3, 4, 5),
		desc(3, "\x03", "\x03g", 4, 1, 2, 3, 4, 5),
		desc(4, "\x03g", "\x03p", 4, 1, 2, 5),
		desc(9, "\x03p", "\x04", 9, 1, 2, 3),
	}
}

// dataDir makes the directory of node 4, whose directory of ranges says recorded.
func dataDir(t *testing.T, ranges, recorded []*pontoonpb.Descriptor, address string) string {
	t.Helper()
	dir := t.TempDir()
	c := &membership.Cluster{ID: 99, Self: 4}
	for i := range proto.NodeID(5) {
		c.Members = append(c.Members, membership.Member{ID: i + 1, Name: fmt.Sprint("n", i+1), PeerURLs: []string{"http://" + address}})
	}
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	e, err := storage.Open(storage.Options{Dir: membership.EngineDir(dir)})
	if err != nil {
		t.Fatal(err)
	}
	records, err := directory.InitialRecords(recorded)
	if err != nil {
		t.Fatal(err)
	}
	var seeds []rangeraft.Seed
	for _, d := range ranges {
		s := rangeraft.Seed{Desc: d, Closed: 500 + proto.Revision(d.RangeId), Floor: proto.NeverCompacted}
		if d.RangeId == uint64(proto.RootRange) {
			s.Records = records
		}
		if d.RangeId == 3 {
			s.Floor = 400
		}
		seeds = append(seeds, s)
	}
	err = e.SetIdent(storage.Ident{ClusterID: 99, NodeID: 4})
	if err := errors.Join(err, rangeraft.BootstrapSeeds(e, 4, seeds), e.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// nowhere is an address at which nobody answers.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func ids(list []RecoveredRange) (all []uint64) {
	for _, r := range list {
		all = append(all, r.ID)
	}
	return all
}

// Only what has no majority without the lost nodes is recovered; the rest is told
// apart: what others serve, what another survivor has, what nobody has.
func TestRecoverChooses(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, five(), five(), nowhere(t))
	o := RecoverOptions{DataDir: dir, Lost: []string{"n1", "n2", "3"}, Bump: 1000}
	for name, wrong := range map[string]RecoverOptions{
		"no node is named":      {DataDir: dir},
		`no node "n8"`:          {DataDir: dir, Lost: []string{"n8"}},
		"it is not lost":        {DataDir: dir, Lost: []string{"n4"}},
		"go back":               {DataDir: dir, Lost: o.Lost, Bump: -1},
		"no replica here":       {DataDir: dir, Lost: o.Lost, Ranges: []proto.RangeID{9}},
		"majority of its":       {DataDir: dir, Lost: o.Lost, Ranges: []proto.RangeID{1, 2}},
		"not the data director": {DataDir: t.TempDir(), Lost: o.Lost},
	} {
		wrong.Write = true
		if _, err := Recover(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, write := range []bool{false, true} {
		o.Write = write
		r, err := Recover(t.Context(), o)
		if err != nil || r.Written != write || r.NextRevision != 503+1000+1 {
			t.Fatalf("%+v %v", r, err)
		}
		if !slices.Equal(ids(r.Ranges), []uint64{1, 3}) || !slices.Equal(r.Quorate, []uint64{2}) {
			t.Errorf("%+v", r)
		}
		if x := r.Ranges[1]; !slices.Equal(x.Survivors, []string{"n5"}) || x.Learner || len(x.Before) != 5 || x.Generation != 1009 {
			t.Errorf("%+v", x)
		}
		if len(r.Missing) != 2 || r.Missing[0].ID != 4 || !slices.Equal(r.Missing[0].Survivors, []string{"n5"}) ||
			r.Missing[1].ID != 9 || len(r.Missing[1].Survivors) != 0 {
			t.Errorf("%+v", r.Missing)
		}
	}
	again, err := Recover(t.Context(), o)
	if err != nil || len(again.Ranges) != 0 || !slices.Equal(again.Quorate, []uint64{1, 2, 3}) || again.NextRevision != 0 {
		t.Errorf("%+v %v", again, err)
	}
	o.Ranges, o.DespiteQuorum = []proto.RangeID{2}, true
	if forced, err := Recover(t.Context(), o); err != nil || !slices.Equal(ids(forced.Ranges), []uint64{2}) {
		t.Errorf("%+v %v", forced, err)
	}
	mustEndWithRecords(t, dir, map[string]uint64{
		string(keys.SequencerLimit): 1503, string(keys.NextRangeID): 10 + rangeIDs, string(keys.Floor): 400})
	if v, err := Verify(t.Context(), dir, nil); err != nil || len(v.Damage) > 0 || len(v.Ranges) != 3 {
		t.Errorf("%+v %v", v, err)
	}
}

// mustEndWithRecords looks at the last entry of the root range's log.
func mustEndWithRecords(t *testing.T, dir string, want map[string]uint64) {
	t.Helper()
	e, _, err := open(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	got := map[string]uint64{}
	err = rangeraft.LogCommands(e, proto.RootRange, func(cmd *pontoonpb.Command) error {
		for _, ef := range cmd.Effects {
			got[string(ef.Key)] = binary.BigEndian.Uint64(ef.Value)
		}
		return nil
	})
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v %v", got, err)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %d, want %d", keys.Text([]byte(k)), got[k], v)
		}
	}
}

// A node that can be reached is not lost, unless one is told.
func TestRecoverLooksForTheLost(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := RecoverOptions{DataDir: dataDir(t, five(), five(), l.Addr().String()), Lost: []string{"n1", "n2", "n3"}}
	if _, err := Recover(t.Context(), o); err == nil || !strings.Contains(err.Error(), "where node n1 is") {
		t.Error(err)
	}
	o.DespiteQuorum = true
	if r, err := Recover(t.Context(), o); err != nil || len(r.Ranges) != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

// The directory may know that a range has moved on to nodes that live.
func TestRecoverHeedsTheDirectory(t *testing.T) {
	t.Parallel()
	recorded := five()
	recorded[2] = desc(3, "\x03", "\x03g", 5, 5, 6, 7)
	r, err := Recover(t.Context(), RecoverOptions{DataDir: dataDir(t, five(), recorded, nowhere(t)), Lost: []string{"n1", "n2", "n3"}})
	if err != nil || !slices.Equal(ids(r.Ranges), []uint64{1}) || !slices.Equal(r.Quorate, []uint64{2, 3}) {
		t.Errorf("%+v %v", r, err)
	}
}

func TestQuorate(t *testing.T) {
	lost := nodeSet{1: true, 2: true}
	type rep struct {
		node uint64
		role pontoonpb.ReplicaRole
	}
	for i, tc := range []struct {
		reps []rep
		want bool
	}{
		{[]rep{{1, voter}, {3, voter}, {4, voter}}, true},
		{[]rep{{1, voter}, {2, voter}, {3, voter}}, false},
		{[]rep{{1, voter}, {3, voter}}, false},
		{[]rep{{1, voter}, {3, learner}, {4, learner}}, false},
		{[]rep{{3, voter}, {1, learner}, {2, learner}}, true},
		{[]rep{{3, voter}, {1, out}, {4, in}}, false}, // {3,1} and {3,4}: the old half has half
		{[]rep{{3, voter}, {4, voter}, {1, out}, {2, in}}, true},
		{[]rep{{3, voter}, {1, voter}, {4, out}, {2, in}}, false},
		{[]rep{{3, learner}}, false},
		{nil, false},
	} {
		d := &pontoonpb.Descriptor{}
		for j, r := range tc.reps {
			d.Replicas = append(d.Replicas, &pontoonpb.Replica{NodeId: r.node, ReplicaId: uint64(10 + j), Role: r.role})
		}
		if got := quorate(d, lost); got != tc.want {
			t.Errorf("case %d: %v", i, got)
		}
	}
}

func TestGaps(t *testing.T) {
	var have []storage.RangeState
	for _, d := range []*pontoonpb.Descriptor{desc(3, "\x03c", "\x03g", 1), desc(1, "\x01", "\x02", 1), desc(5, "\x03g", "\x03h", 1)} {
		have = append(have, storage.RangeState{Descriptor: d})
	}
	var got []string
	for _, g := range gaps(have) {
		got = append(got, text(g.Start)+"-"+text(g.End))
	}
	if want := []string{`lease-"c"`, `"h"-end`}; !slices.Equal(got, want) {
		t.Error(got)
	}
	if list := missing(have, nil, nil, nil); len(list) != 2 || list[0].ID != 0 {
		t.Errorf("%+v", list)
	}
}
