package diff

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
)

// authRuns are short: every call of auth, lock, election and the JSON gateway comes
// many times in a few hundred operations.
var authRuns = []struct {
	nodes int
	plan  Plan
}{
	{1, Plan{Seed: 31, Ops: 500, Auth: 35}},
	{1, Plan{Seed: 32, Ops: 400, Auth: 35, Splits: 16}},
	{3, Plan{Seed: 33, Ops: 400, Auth: 35, Splits: 8}},
}

// With auth, too, the comparison raises no false alarm.
func TestEtcdEqualsItselfWithAuth(t *testing.T) {
	compareRun(t, Clusters("etcd", 1), authRuns[0].plan)
}

func TestPontoonEqualsEtcdWithAuth(t *testing.T) {
	for _, run := range authRuns {
		t.Run(fmt.Sprintf("%d nodes seed %d", run.nodes, run.plan.Seed), func(t *testing.T) {
			compareRun(t, Clusters("pontoon", run.nodes), run.plan)
		})
	}
}

// D1: operations of clients and through the gateway survive the round through their
// text form, and every method is generated.
func TestOperationsOfClientsHaveATextForm(t *testing.T) {
	g := NewGenerator(Plan{Seed: 11, Ops: 8000, Auth: 40})
	kinds, clients, json := map[Kind]int{}, map[string]int{}, map[Kind]int{}
	for {
		o, ok := g.Next(State{Now: 500, Compacted: 300})
		if !ok {
			break
		}
		kinds[o.Kind]++
		clients[o.As]++
		if o.JSON {
			json[o.Kind]++
		}
		p, err := ParseOp(o.String())
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind != o.Kind || p.Gateway != o.Gateway || p.N != o.N || p.As != o.As || p.JSON != o.JSON || !proto.Equal(p.Msg, o.Msg) {
			t.Fatalf("%s\nbecame\n%s", o, p)
		}
	}
	for kind, m := range methods {
		if kinds[kind] == 0 {
			t.Errorf("no operation of kind %s", kind)
		}
		if m.path != "" && json[kind] == 0 {
			t.Errorf("no operation of kind %s through the JSON gateway", kind)
		}
	}
	for kind := range paths {
		if json[kind] == 0 {
			t.Errorf("no operation of kind %s through the JSON gateway", kind)
		}
	}
	for _, who := range []string{"", rootName, "u0", "u1", "u2", oldClient, bogusClient} {
		if clients[who] < 50 {
			t.Errorf("%d operations of client %q", clients[who], who)
		}
	}
}
