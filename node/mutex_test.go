package node_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// TestMutex has sessions of all nodes compete for clientv3's mutex, whose keys lie in a
// range that splits meanwhile: one holds it at a time, and each gets it.
func TestMutex(t *testing.T) {
	c := newCluster(t, 3, calm)
	c.nodes[0].split("m")
	c.nodes[0].put("count", "0")
	ctx := within(t, 60*time.Second)
	const rounds = 5
	var holders atomic.Int32
	var wg sync.WaitGroup
	for w := range 6 {
		cli := c.nodes[w%3].client(t)
		wg.Go(func() {
			session, err := concurrency.NewSession(cli, concurrency.WithTTL(30))
			if err != nil {
				t.Error(err)
				return
			}
			defer session.Close()
			mutex := concurrency.NewMutex(session, "lock")
			for range rounds {
				if err := mutex.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n > 1 {
					t.Errorf("%d hold it at a time", n)
				}
				// Nothing but the mutex keeps others from counting in between.
				have, err := cli.Get(ctx, "count")
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(have.Kvs[0].Value))
				resp, err := cli.Txn(ctx).If(mutex.IsOwner()).Then(clientv3.OpPut("count", strconv.Itoa(n+1))).Commit()
				if err != nil || !resp.Succeeded {
					t.Error("the holder is no owner: ", err)
				}
				holders.Add(-1)
				if err := mutex.Unlock(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	c.nodes[1].split("lock")
	wg.Wait()
	c.nodes[2].mustHave("count", strconv.Itoa(6*rounds), 0)
}

// TestMutexOfTheDead: a lease that ends gives the mutex up, tells its session, and takes a
// place in the queue away; what is locked by somebody else is refused at once.
func TestMutexOfTheDead(t *testing.T) {
	c := newCluster(t, 3, calm)
	ctx := within(t, 60*time.Second)
	session := func(i int) *concurrency.Session {
		s, err := concurrency.NewSession(c.nodes[i].client(t), concurrency.WithTTL(30))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	holder, waiter, heir := session(0), session(1), session(2)
	held := concurrency.NewMutex(holder, "lock")
	if err := held.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := concurrency.NewMutex(heir, "lock").TryLock(ctx); !errors.Is(err, concurrency.ErrLocked) {
		t.Fatalf("a held mutex: %v", err)
	}
	queued := func(n int) {
		wait(t, "the queue", func() bool {
			resp, err := heir.Client().Get(ctx, "lock/", clientv3.WithPrefix())
			return err == nil && len(resp.Kvs) == n
		})
	}
	lock := func(s *concurrency.Session) <-chan error {
		done := make(chan error, 1)
		go func() { done <- concurrency.NewMutex(s, "lock").Lock(ctx) }()
		return done
	}
	second := lock(waiter)
	queued(2)
	third := lock(heir)
	queued(3)
	revoke := func(s *concurrency.Session) {
		if _, err := heir.Client().Revoke(ctx, s.Lease()); err != nil {
			t.Fatal(err)
		}
	}
	revoke(waiter)
	queued(2)
	revoke(holder)
	select {
	case <-holder.Done():
	case <-ctx.Done():
		t.Fatal("the session does not learn of the end of its lease")
	}
	resp, err := holder.Client().Txn(ctx).If(held.IsOwner()).Commit()
	if err != nil || resp.Succeeded {
		t.Fatalf("the dead still owns it: %v", err)
	}
	if err := <-third; err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, concurrency.ErrSessionExpired) {
		t.Fatalf("who lost the lease in the queue: %v", err)
	}
}
