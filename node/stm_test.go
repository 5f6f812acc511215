package node_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

var isolations = map[string]concurrency.Isolation{
	"serializable snapshot": concurrency.SerializableSnapshot, "serializable": concurrency.Serializable,
	"repeatable reads": concurrency.RepeatableReads, "read committed": concurrency.ReadCommitted,
}

// TestIsolation has somebody interfere once with a transaction over ranges. What each
// level of clientv3's STM notices shows in how often it tries, and in what it reads.
func TestIsolation(t *testing.T) {
	c := newCluster(t, 3, calm)
	c.nodes[0].split("m")
	cli, other := c.nodes[1].client(t), c.nodes[2].client(t)
	ctx := within(t, 60*time.Second)
	// seen waits until reads that ask nobody, as two of the levels do, see the keys on the
	// node of the transaction.
	seen := func(value string, keys ...string) {
		wait(t, value, func() bool {
			for _, key := range keys {
				resp, err := cli.Get(ctx, key, clientv3.WithSerializable())
				if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != value {
					return false
				}
			}
			return true
		})
	}
	write := func(value string, keys ...string) {
		t.Helper()
		var ops []clientv3.Op
		for _, key := range keys {
			ops = append(ops, clientv3.OpPut(key, value))
		}
		if _, err := other.Txn(ctx).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
		seen(value, keys...)
	}
	for name, level := range isolations {
		for _, tc := range []struct {
			what  string
			touch []string // by the other one, after the first read
			pairs map[string]string
		}{
			{"what was read is written", []string{"a"}, map[string]string{
				"serializable snapshot": "old old, new old", "serializable": "old old, new old",
				"repeatable reads": "old old, new old", "read committed": "old old",
			}},
			{"what is only written is written", []string{"out"}, map[string]string{
				"serializable snapshot": "old old, old old", "serializable": "old old",
				"repeatable reads": "old old", "read committed": "old old",
			}},
			{"both are written between the reads", []string{"a", "z"}, map[string]string{
				"serializable snapshot": "old old, new new", "serializable": "old old, new new",
				"repeatable reads": "old new, new new", "read committed": "old new",
			}},
		} {
			write("old", "a", "z", "out")
			var pairs []string
			_, err := concurrency.NewSTM(cli, func(s concurrency.STM) error {
				a := s.Get("a")
				if len(pairs) == 0 {
					write("new", tc.touch...)
				}
				pairs = append(pairs, a+" "+s.Get("z"))
				s.Put("out", strings.Join(pairs, ", "))
				return nil
			}, concurrency.WithIsolation(level), concurrency.WithAbortContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(pairs, ", ")
			if got != tc.pairs[name] {
				t.Errorf("%s, %s: reads %q, want %q", name, tc.what, got, tc.pairs[name])
			}
			if resp, err := cli.Get(ctx, "out"); err != nil || string(resp.Kvs[0].Value) != got {
				t.Errorf("%s, %s: committed %v, %v, want %q", name, tc.what, resp, err, got)
			}
		}
	}
}

// TestTransfers moves money between accounts in three ranges at every level that keeps
// read values, while ranges split and a node restarts: none is made or lost, and
// whoever reads all accounts in one snapshot finds all of it.
func TestTransfers(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.nodes[0].split("h")
	c.nodes[0].split("q")
	ctx := within(t, 90*time.Second)
	accounts := []string{"a", "c", "j", "n", "t", "z"}
	const each = 100
	for _, key := range accounts {
		c.nodes[0].put(key, strconv.Itoa(each))
	}
	total := func(s concurrency.STM) (sum int) {
		for _, key := range accounts {
			n, _ := strconv.Atoi(s.Get(key))
			sum += n
		}
		return sum
	}
	levels := []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable, concurrency.RepeatableReads}
	busy, stop := context.WithCancel(ctx)
	defer stop()
	var moved, read atomic.Int64
	var wg sync.WaitGroup
	for w := range 6 {
		cli := c.nodes[w%3].client(t)
		wg.Go(func() {
			for i := 0; busy.Err() == nil; i++ {
				from, to := accounts[(w+i)%6], accounts[(w+3*i+1)%6]
				_, err := concurrency.NewSTM(cli, func(s concurrency.STM) error {
					have, err := strconv.Atoi(s.Get(from))
					if err != nil {
						return fmt.Errorf("%s: %w", from, err)
					}
					s.Put(from, strconv.Itoa(have-1))
					have, err = strconv.Atoi(s.Get(to))
					s.Put(to, strconv.Itoa(have+1))
					return err
				}, concurrency.WithIsolation(levels[w%3]), concurrency.WithAbortContext(busy))
				if err == nil { // a node that stops refuses some
					moved.Add(1)
				}
			}
		})
	}
	for _, level := range levels[:2] {
		cli := c.nodes[0].client(t)
		wg.Go(func() {
			for busy.Err() == nil {
				_, err := concurrency.NewSTM(cli, func(s concurrency.STM) error {
					if sum := total(s); sum != each*len(accounts) && busy.Err() == nil {
						t.Errorf("a snapshot holds %d", sum)
						stop()
					}
					return nil
				}, concurrency.WithIsolation(level), concurrency.WithAbortContext(busy))
				if err == nil {
					read.Add(1)
				}
			}
		})
	}
	progress := func() {
		m, r := moved.Load(), read.Load()
		wait(t, "transfers", func() bool { return busy.Err() != nil || moved.Load() > m+20 && read.Load() > r+2 })
	}
	progress()
	c.nodes[1].split("c")
	progress()
	c.nodes[2].stop()
	progress()
	c.nodes[2].start()
	c.nodes[2].waitReady()
	progress()
	stop()
	wg.Wait()
	_, err := concurrency.NewSTM(c.nodes[1].client(t), func(s concurrency.STM) error {
		if sum := total(s); sum != each*len(accounts) {
			t.Errorf("%d are left", sum)
		}
		return nil
	}, concurrency.WithAbortContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
}
