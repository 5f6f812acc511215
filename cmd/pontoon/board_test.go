package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// grown is a cluster of four nodes, one of which is dead and one draining, with
// three ranges.
func grown() board {
	nodes := []*pontoonpb.NodeStatus{
		{NodeId: 1, Name: "n1", State: "live"}, {NodeId: 2, Name: "n2", State: "live"},
		{NodeId: 3, Name: "n3", State: "draining"}, {NodeId: 4, Name: "n4", State: "dead"},
	}
	a := fakeRange(5, []byte{3}, []byte{4}, 1, 1, 2, 3)
	b := fakeRange(6, []byte{4}, []byte{5}, 1, 1, 2, 4) // one voter is dead
	c := fakeRange(7, []byte{5}, []byte{6}, 4, 1, 2, 3) // its leader is dead
	d := fakeRange(8, []byte{6}, []byte{7}, 2, 1, 2, 3)
	d.Desc.Replicas[2].Role = pontoonpb.ReplicaRole_REPLICA_LEARNER
	e := fakeRange(9, []byte{7}, []byte{8}, 1, 1, 2, 3)
	e.SizeBytes = -1
	a.Load = &pontoonpb.RangeLoad{WritesPerSecond: 30, ReadsPerSecond: 12}
	return newBoard(nodes, []*pontoonpb.RangeStatus{a, b, c, d, e}, 3)
}

func TestBoardCounts(t *testing.T) {
	b := grown()
	if b.ranges != 5 || b.short != 2 {
		t.Errorf("%+v", b)
	}
	n1, n3, n4 := b.named("n1"), b.named("n3"), b.named("n4")
	if n1.leaders != 3 || n1.replicas != 5 || n1.bytes != 4*64<<10 || n1.load != 42 {
		t.Errorf("%+v", n1)
	}
	if n3.replicas != 4 || n4.replicas != 1 || n4.leaders != 0 {
		t.Errorf("%+v %+v", n3, n4)
	}
	if gone := b.named("n9"); gone.state != removedState || gone.replicas != 0 {
		t.Errorf("%+v", gone)
	}
	// Only nodes in use are to be even.
	if s := b.spread(leadersOf); s != 3 {
		t.Error(s)
	}
	if s := b.spread(replicasOf); s != 1 {
		t.Error(s)
	}
	if s := (&board{nodes: []boardNode{{state: "live", leaders: 4}, {state: "live"}}}).spread(leadersOf); s != 4 {
		t.Errorf("a node that leads nothing: %v", s)
	}
}

func TestBoardIsDrawn(t *testing.T) {
	b := grown()
	for _, l := range b.lines() {
		if len(l) > 76 {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
	golden(t, "board.golden", strings.Join(b.lines(), "\n")+"\n"+b.line()+"\n")
	var out bytes.Buffer
	plain := boardView{out: &out}
	at := time.Unix(100, 0)
	for i := range 12 {
		plain.show(&b, time.Duration(i)*time.Second, at.Add(time.Duration(i)*time.Second), i == 11)
	}
	if got := out.String(); strings.Count(got, "\n") != 4 || strings.Contains(got, "\033") {
		t.Errorf("%q", got)
	}
	out.Reset()
	live := boardView{out: &out, terminal: true}
	live.show(&b, 0, at, false)
	first := out.Len()
	small := board{nodes: b.nodes[:2]}
	live.show(&small, 0, at, true)
	if got := out.String()[first:]; !strings.HasPrefix(got, "\033[8A") || strings.Count(got, "\n") != 8 {
		t.Errorf("%q", got)
	}
}

func TestElasticDemoRefuses(t *testing.T) {
	for _, args := range [][]string{{"--objects=0"}, {"--ranges=1"}} {
		root := newRoot()
		root.SetArgs(append([]string{"demo", "--elastic"}, args...))
		if err := root.ExecuteContext(within(t)); err == nil || !strings.Contains(err.Error(), "must be at least") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
