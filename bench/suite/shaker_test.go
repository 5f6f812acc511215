package suite

import (
	"context"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// The shaker splits ranges and moves replicas for as long as it is let: here,
// until the cluster tells that moves are done.
func TestShaker(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		t.Skip("etcd has no ranges")
	}
	o := Options{Connections: 2, Seed: 1}
	s := System{Name: "p", System: cluster.System{Kind: b.Kind, Binary: b.Path}}
	st, err := o.open(t.Context(), &s, &workload.Group{Nodes: 4, Splits: []string{workload.KVPrefix + "00005000"}}, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer st.close(context.WithoutCancel(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		defer cancel()
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			ranges, err := st.steer.Ranges(ctx)
			operators, err2 := st.steer.Operators(ctx, true)
			if err != nil || err2 != nil {
				continue // the error of the shaker will say more
			}
			done := 0
			for _, op := range operators {
				if op.Kind == "move" && op.State == "done" {
					done++
				}
			}
			if done >= 2 && len(ranges) > 4 { // the shaker has seen the first of them
				return
			}
		}
	}()
	splits, moves, _, err := st.target.Shaker.Shake(ctx)
	if err != nil || splits == 0 || moves == 0 {
		t.Errorf("%d splits, %d moves, %v", splits, moves, err)
	}
}
