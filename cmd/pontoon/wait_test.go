package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// A move waits for its operator and shows how far it is; it fails as the
// operator fails.
func TestMoveWaits(t *testing.T) {
	f := newFakeAdmin(t)
	looks := 0
	f.look = func(f *fakeAdmin) {
		if f.asked[len(f.asked)-1] != "operators" {
			return
		}
		looks++
		f.ops[0].Progress, f.ops[0].BytesDone = 0.4*float64(looks), int64(looks)*100<<20
		if looks == 3 {
			f.ops[0].State = "done"
			f.ops[0].Progress, f.ops[0].Steps[1].Done = 1, true
		}
	}
	stdout, stderr, err := f.run(t, "range", "move", "3", "--from=n1", "--to=a4")
	if err != nil || stdout != "operator 12 on range 3 (replace-dead): done\n" || f.move.FromNode != 0xa1 || f.move.ToNode != 0xa4 {
		t.Error(stdout, err, f.move)
	}
	golden(t, "move_waits.golden", stderr)
	for state, want := range map[string]string{"failed": "operator 12 on range 3: failed: no space", "canceled": "canceled: no space", "timeout": "timeout"} {
		f := newFakeAdmin(t)
		f.ops[0].State, f.ops[0].Error = state, "no space"
		if _, _, err := f.run(t, "range", "merge", "3"); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(state, err)
		}
	}
}

// An operator that went with its driver is judged by what it was to reach.
func TestMoveOutlivesTheDriver(t *testing.T) {
	f := newFakeAdmin(t)
	f.look = func(f *fakeAdmin) {
		if f.asked[len(f.asked)-1] == "range" { // it has moved meanwhile
			f.ranges[2].Desc.Replicas = []*pontoonpb.Replica{{NodeId: 0xa2}, {NodeId: 0xa3}, {NodeId: 0xa4}}
		}
		if f.move != nil {
			f.ops = nil
		}
	}
	if stdout, _, err := f.run(t, "range", "move", "3", "--from=n1", "--to=a4"); err != nil || !strings.HasSuffix(stdout, "done\n") {
		t.Error(stdout, err)
	}
	f = newFakeAdmin(t)
	f.look = func(f *fakeAdmin) {
		if f.move != nil {
			f.ops = nil
		}
	}
	if _, _, err := f.run(t, "range", "move", "3", "--from=n1", "--to=a4"); err == nil || !strings.Contains(err.Error(), "is gone with the placement driver") {
		t.Error(err)
	}
}

// drains makes a look at the operators take a replica of a4 away each time.
func drains(f *fakeAdmin, node uint64) {
	f.look = func(f *fakeAdmin) {
		if f.asked[len(f.asked)-1] != "operators" {
			return
		}
		for _, r := range f.ranges {
			for i, rep := range r.Desc.Replicas {
				if rep.NodeId == node {
					r.Desc.Replicas = append(r.Desc.Replicas[:i:i], r.Desc.Replicas[i+1:]...)
					return
				}
			}
		}
	}
}

// A drain waits until no replica is left; a removal drains first.
func TestDrainAndRemoveWait(t *testing.T) {
	f := newFakeAdmin(t)
	drains(f, 0xa3)
	stdout, stderr, err := f.run(t, "node", "drain", "n3")
	if err != nil || !strings.HasPrefix(stdout, "node n3 is empty") {
		t.Error(stdout, err)
	}
	if !strings.Contains(stderr, "3 replicas left, 1 of them lead, 1 are moving") || !strings.Contains(stderr, "100%  300.1 MiB of 300.1 MiB  0 replicas left") {
		t.Error(stderr)
	}
	f = newFakeAdmin(t)
	drains(f, 0xa2)
	stdout, _, err = f.run(t, "node", "remove", "n2")
	asked := strings.Join(f.asked, " ")
	if err != nil || !strings.HasPrefix(stdout, "node n2 is removed for good") || !strings.HasSuffix(asked, "remove") || !strings.Contains(asked, "drain") {
		t.Error(stdout, err, asked)
	}
	// Without waiting nothing is drained: the cluster refuses.
	f = newFakeAdmin(t)
	if _, _, err := f.run(t, "node", "remove", "n2", "--wait=false"); err == nil || !strings.Contains(err.Error(), "it holds replicas") {
		t.Error(err)
	}
	// A lost node is removed first, then its replicas are rebuilt.
	f = newFakeAdmin(t)
	drains(f, 0xa1)
	stdout, _, err = f.run(t, "node", "remove", "n1", "--force")
	asked = strings.Join(f.asked, " ")
	if err != nil || strings.Contains(asked, "drain") || !strings.Contains(asked, "remove ranges operators ranges") {
		t.Error(stdout, err, asked)
	}
}

// What has moved counts, what is under way counts in part, and time left
// follows from both.
func TestEmptyingProgress(t *testing.T) {
	began := time.Unix(1000, 0)
	e := emptying{node: &pontoonpb.NodeStatus{NodeId: 3}, sizes: map[uint64]int64{}, began: began, moved: began}
	a := fakeRange(8, []byte{3}, []byte{4}, 3, 1, 3)
	b := fakeRange(9, []byte{4}, []byte{5}, 1, 1, 3)
	a.SizeBytes, b.SizeBytes = 100, 300
	if p := e.look(began, []*pontoonpb.RangeStatus{a, b}, nil); p.part != 0 || p.total != 400 || p.eta != -1 || p.done {
		t.Errorf("%+v", p)
	}
	op := &pontoonpb.OperatorStatus{RangeId: 9, State: "running", Progress: 0.5, BytesDone: 150}
	p := e.look(began.Add(10*time.Second), []*pontoonpb.RangeStatus{b}, []*pontoonpb.OperatorStatus{op, {RangeId: 77, State: "running", Progress: 1}})
	if p.part != 0.75 || p.bytes != 250 || p.eta < 3.3 || p.eta > 3.4 || !strings.HasPrefix(p.text, "1 replicas left, 0 of them lead, 1 are moving") {
		t.Errorf("%+v", p)
	}
	// What it waits for is said, what other nodes wait for is not.
	blocked := []*pontoonpb.OperatorStatus{
		{Kind: "drain", State: "blocked", Reason: "n3 is draining; add a node"}, {Kind: "drain", State: "blocked", Reason: "n30 is draining; add two"},
	}
	e.node.Name = "n3"
	if p := e.look(began.Add(15*time.Second), []*pontoonpb.RangeStatus{b}, blocked); p.text != "1 replicas left, 0 of them lead, 0 are moving; n3 is draining; add a node" {
		t.Errorf("%q", p.text)
	}
	if p := e.look(began.Add(20*time.Second), nil, nil); !p.done || p.part != 1 || p.bytes != 400 {
		t.Errorf("%+v", p)
	}
	if e.moved != began.Add(20*time.Second) {
		t.Error(e.moved)
	}
}

// On a terminal one line is redrawn, elsewhere a line is written per change.
func TestMeter(t *testing.T) {
	var out bytes.Buffer
	steps := []progress{
		{text: "copy", part: 0.01, bytes: 1 << 20, total: 100 << 20, eta: 61},
		{text: "copy", part: 0.05, bytes: 5 << 20, total: 100 << 20, eta: 40},
		{text: "copy", part: 0.15, bytes: 15 << 20, total: 100 << 20, eta: 30},
		{text: "promote", part: 0.15, eta: -1},
		{text: "done", part: 1, eta: 0, done: true},
	}
	plain := &meter{out: &out, tenth: -1}
	for _, p := range steps {
		plain.show(p)
	}
	plain.finish()
	if got := out.String(); got != "  1%  1.0 MiB of 100.0 MiB  1m1s left  copy\n 15%  15.0 MiB of 100.0 MiB  30s left  copy\n 15%  promote\n100%  done\n" {
		t.Errorf("%q", got)
	}
	out.Reset()
	live := &meter{out: &out, terminal: true, tenth: -1}
	for _, p := range steps {
		live.show(p)
	}
	live.finish()
	if got := out.String(); strings.Count(got, "\r") != len(steps) || strings.Count(got, "\n") != 1 || !strings.Contains(got, "["+strings.Repeat("=", barWidth)+"]") {
		t.Errorf("%q", got)
	}
}
