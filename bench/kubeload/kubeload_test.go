package kubeload_test

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/kubeload"
)

// A whole load against a real cluster, one node of which is killed and comes
// back during the churn: everything read is right, nothing is lost.
func TestLoadSurvivesKill(t *testing.T) {
	c := clustertest.Start(t, clustertest.Subject(t), 3)
	ctx := t.Context()
	const objects = 600
	if err := c.Split(ctx, kubeload.SplitKeys("/registry", objects, 8)...); err != nil {
		t.Fatal(err)
	}
	phases := map[string]bool{}
	l, err := kubeload.New(kubeload.Options{
		Endpoints: c.Endpoints(), Objects: objects, Clients: 8, Connections: 3, Rate: 400, PageSize: 50,
		Progress: func(phase string, done, total int) { phases[phase] = phases[phase] || done == total },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.Watch(ctx); err != nil {
		t.Fatal(err)
	}
	killed := make(chan error, 1)
	go func() {
		leader, err := c.Leader(ctx)
		if err == nil {
			if err = leader.Kill(); err == nil {
				err = leader.Restart(ctx)
			}
		}
		killed <- err
	}()
	if err := l.Churn(ctx, 4*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if err := l.Verify(ctx); err != nil {
		t.Fatal(err)
	}
	r := l.Report()
	r.WriteText(t.Output())
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if r.ObjectsVerified < objects || r.Events == 0 || r.Conflicts == 0 || r.ValuesVerified < objects {
		t.Errorf("too little was done: %+v", r)
	}
	for _, phase := range []string{"load", "churn", "verify"} {
		if !phases[phase] {
			t.Errorf("progress of %s did not reach its end", phase)
		}
	}
}
