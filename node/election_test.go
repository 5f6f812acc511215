package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// TestElection runs clientv3's election through three nodes: candidates win in the order
// in which they came, an observer elsewhere hears of each leader and what it says, and a
// leader that is none any more is told so.
func TestElection(t *testing.T) {
	c := newCluster(t, 3, calm)
	c.nodes[0].split("election")
	ctx := within(t, 60*time.Second)
	candidate := func(i int) (*concurrency.Election, *concurrency.Session) {
		s, err := concurrency.NewSession(c.nodes[i].client(t), concurrency.WithTTL(30))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return concurrency.NewElection(s, "election"), s
	}
	first, _ := candidate(0)
	second, secondSession := candidate(1)
	third, thirdSession := candidate(2)
	if _, err := third.Leader(ctx); !errors.Is(err, concurrency.ErrElectionNoLeader) {
		t.Fatalf("nobody leads: %v", err)
	}
	observing, stop := context.WithCancel(ctx)
	observed := third.Observe(observing)
	hears := func(value string) *clientv3.GetResponse {
		t.Helper()
		select {
		case resp, ok := <-observed:
			if !ok || string(resp.Kvs[0].Value) != value {
				t.Fatalf("the observer hears %v, want %s", resp, value)
			}
			return resp
		case <-ctx.Done():
			t.Fatalf("the observer hears nothing of %s", value)
		}
		panic("unreachable")
	}
	if err := first.Campaign(ctx, "first"); err != nil {
		t.Fatal(err)
	}
	hears("first")
	campaign := func(e *concurrency.Election, value string, inQueue int) <-chan error {
		won := make(chan error, 1)
		go func() { won <- e.Campaign(ctx, value) }()
		wait(t, value+" to stand", func() bool {
			resp, err := secondSession.Client().Get(ctx, "election/", clientv3.WithPrefix())
			return err == nil && len(resp.Kvs) == inQueue
		})
		return won
	}
	secondWon := campaign(second, "second", 2)
	thirdWon := campaign(third, "third", 3)
	if err := first.Proclaim(ctx, "still first"); err != nil {
		t.Fatal(err)
	}
	hears("still first")

	c.nodes[1].split("election/") // where the candidates are
	if err := first.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-secondWon; err != nil {
		t.Fatal(err)
	}
	hears("second")
	if err := first.Proclaim(ctx, "me again"); !errors.Is(err, concurrency.ErrElectionNotLeader) {
		t.Fatalf("who resigned proclaims: %v", err)
	}
	select {
	case err := <-thirdWon:
		t.Fatalf("two lead: %v", err)
	default:
	}
	// The leader dies with its lease; another process goes on as the third.
	if _, err := thirdSession.Client().Revoke(ctx, secondSession.Lease()); err != nil {
		t.Fatal(err)
	}
	if err := <-thirdWon; err != nil {
		t.Fatal(err)
	}
	hears("third")
	if err := second.Proclaim(ctx, "me"); !errors.Is(err, concurrency.ErrElectionNotLeader) {
		t.Fatalf("who died proclaims: %v", err)
	}
	resumed := concurrency.ResumeElection(thirdSession, "election", third.Key(), third.Rev())
	if err := resumed.Proclaim(ctx, "resumed"); err != nil {
		t.Fatal(err)
	}
	last := hears("resumed")
	leads, err := first.Leader(ctx)
	if err != nil || string(leads.Kvs[0].Value) != "resumed" || leads.Kvs[0].ModRevision != last.Kvs[0].ModRevision {
		t.Fatal(leads, err)
	}
	if err := resumed.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Leader(ctx); !errors.Is(err, concurrency.ErrElectionNoLeader) {
		t.Fatalf("all are gone: %v", err)
	}
	stop()
	for range observed { // it ends with its context
	}
}
