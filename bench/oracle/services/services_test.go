package services

import (
	"context"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

func start(t *testing.T, run func(cluster.Options) (*cluster.Cluster, error)) string {
	t.Helper()
	c, err := run(cluster.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() && c.Name != "etcd" {
			t.Log(c.Logs())
		}
	})
	return c.Endpoints()[0]
}

// Auth, lock, election and the gateway answer as etcd's do.
func TestServicesAnswerAsEtcd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	found, err := Compare(ctx, start(t, cluster.StartEtcd), start(t, cluster.StartPontoon), Script())
	for _, d := range found {
		t.Error(d)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A side that differs by one step is found out, and only that step.
func TestPlantedDifferenceIsFound(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, b := start(t, cluster.StartEtcd), start(t, cluster.StartEtcd)
	if _, err := newSide(b).do(ctx, post("plant", "/v3/auth/role/add", `{"name":"planted"}`)); err != nil {
		t.Fatal(err)
	}
	found, err := Compare(ctx, a, b, []Step{
		post("put", "/v3/kv/put", put("a", "1")),
		post("roles", "/v3/auth/role/list", `{}`),
		post("get", "/v3/kv/range", key("a")),
	})
	if err != nil || len(found) != 1 || found[0].Step.Name != "roles" {
		t.Fatalf("%v, %v", found, err)
	}
}
