package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/node/offline"
)

// trio is three nodes as processes, with room for others that join.
type trio struct {
	t       *testing.T
	dir     string
	initial string
	peers   map[string]string // peer address by name
	nodes   map[string]*process
}

func newTrio(t *testing.T) *trio {
	c := &trio{t: t, dir: t.TempDir(), peers: map[string]string{}, nodes: map[string]*process{}}
	var initial []string
	for _, name := range []string{"n1", "n2", "n3"} {
		c.peers[name] = freeAddr(t)
		initial = append(initial, name+"=http://"+c.peers[name])
	}
	c.initial = strings.Join(initial, ",")
	for _, name := range []string{"n1", "n2", "n3"} {
		c.start(name, "--initial-cluster="+c.initial)
	}
	for _, p := range c.nodes {
		p.awaitReady()
	}
	return c
}

func (c *trio) data(name string) string { return filepath.Join(c.dir, name) }

func (c *trio) start(name string, args ...string) *process {
	c.t.Helper()
	if c.peers[name] == "" {
		c.peers[name] = freeAddr(c.t)
	}
	client := freeAddr(c.t)
	p := launch(c.t, filepath.Join(c.dir, name+".log"), nil, client, append([]string{
		"start", "--name=" + name, "--data-dir=" + c.data(name),
		"--listen-client-urls=http://" + client, "--advertise-client-urls=http://" + client,
		"--listen-peer-urls=http://" + c.peers[name], "--initial-advertise-peer-urls=http://" + c.peers[name],
		"--heartbeat-interval=100", "--election-timeout=1000",
	}, args...)...)
	c.nodes[name] = p
	return p
}

func (c *trio) client(name string) *clientv3.Client {
	c.t.Helper()
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{c.nodes[name].addr}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cli.Close() })
	return cli
}

// run is the command at a node, which must succeed.
func (c *trio) run(name string, args ...string) string {
	c.t.Helper()
	out, stderr, code := pontoon(c.t, append(args, "--endpoints="+c.nodes[name].addr)...)
	if code != 0 {
		c.t.Fatalf("pontoon %s: code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return out
}

// healed waits until every range has its replicas on just these nodes, and all
// that can be compared is equal.
func (c *trio) healed(at string, ranges int, names ...string) {
	c.t.Helper()
	var last string
	until(c.t, func() string { return "ranges on " + strings.Join(names, ", ") + "; there are " + last }, func() bool {
		var list []rangeView
		last = c.run(at, "range", "list", "-o", "json")
		if err := json.Unmarshal([]byte(last), &list); err != nil || len(list) != ranges {
			return false
		}
		for _, r := range list {
			var on []string
			for _, m := range r.Members {
				if m.Role == "voter" {
					on = append(on, m.Name)
				}
			}
			if slices.Sort(on); !slices.Equal(on, names) {
				return false
			}
		}
		return true
	})
}

func until(t *testing.T, what func() string, cond func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("timed out waiting for ", what())
		}
	}
}

func put(t *testing.T, cli *clientv3.Client, key, value string, opts ...clientv3.OpOption) int64 {
	t.Helper()
	resp, err := cli.Put(within(t), key, value, opts...)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return resp.Header.Revision
}

func mustGet(t *testing.T, cli *clientv3.Client, key, value string, opts ...clientv3.OpOption) {
	t.Helper()
	resp, err := cli.Get(within(t), key, opts...)
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != value {
		t.Fatalf("%s is %v %v, want %q", key, resp, err, value)
	}
}

// Two of three nodes die with their disks, while the third has not heard of what
// was written last. It is told that it is alone, says what it will do, does it
// when asked to, serves all that it had, gives no revision twice, and the cluster
// grows again around it.
func TestMajorityIsLostForGood(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	first := c.client("n1")
	c.run("n1", "range", "split", "k10")
	c.run("n1", "range", "split", "k20")
	lease, err := first.Grant(within(t), 3600)
	if err != nil {
		t.Fatal(err)
	}
	old := put(t, first, "k05", "old", clientv3.WithLease(lease.ID))
	for i := range 30 {
		put(t, first, fmt.Sprintf("k%02d", i), fmt.Sprint(i))
	}
	put(t, first, "leased", "1", clientv3.WithLease(lease.ID))
	c.settle("n1")
	if err := c.nodes["n3"].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var last int64
	// What only the lost have. Who was led by the third node waits for an election.
	until(t, func() string { return "the other two to take writes" }, func() bool {
		_, err := first.Put(within(t), "late", "0")
		return err == nil
	})
	for i := range 20 {
		last = put(t, first, "late", fmt.Sprint(i))
	}
	for name, p := range c.nodes {
		p.kill()
		if name != "n3" {
			if err := os.RemoveAll(c.data(name)); err != nil {
				t.Fatal(err)
			}
		}
	}

	revision := c.recoverSurvivor()
	alone := c.start("n3", "--initial-cluster="+c.initial)
	alone.awaitReady()
	cli := c.client("n3")
	for i := range 30 {
		mustGet(t, cli, fmt.Sprintf("k%02d", i), fmt.Sprint(i))
	}
	mustGet(t, cli, "k05", "old", clientv3.WithRev(old))
	if resp, err := cli.Get(within(t), "late"); err != nil || len(resp.Kvs) > 0 {
		t.Errorf("what only the lost had is %v %v", resp, err)
	}
	if rev := put(t, cli, "after", "1"); rev <= last || rev < revision {
		t.Errorf("revision %d after %d, and after %d was announced", rev, last, revision)
	}
	if ttl, err := cli.TimeToLive(within(t), lease.ID, clientv3.WithAttachedKeys()); err != nil || ttl.TTL <= 0 || len(ttl.Keys) != 1 {
		t.Errorf("lease %v %v", ttl, err)
	}
	if out := c.run("n3", "range", "split", "k25"); !strings.Contains(out, "range 10") { // beyond what the lost may have given out
		t.Error(out)
	}
	c.growAgain()
	c.nodes["n3"].kill() // whom the others know every range from
	until(t, func() string { return "writes at a new node" }, func() bool {
		resp, err := c.client("n5").Put(within(t), "end", "1")
		return err == nil && resp.Header.Revision > revision
	})
	mustGet(t, c.client("n5"), "k29", "29")
}

// settle waits until all replicas have all that was written.
func (c *trio) settle(at string) {
	c.t.Helper()
	until(c.t, func() string { return "equal replicas" }, func() bool {
		_, _, code := pontoon(c.t, "range", "checksum", "--endpoints="+c.nodes[at].addr)
		return code == 0
	})
}

// recoverSurvivor does what docs/operations.md says at n3, and returns from where
// revisions go on.
func (c *trio) recoverSurvivor() int64 {
	t := c.t
	t.Helper()
	data := c.data("n3")
	args := []string{"debug", "unsafe-recover", "--data-dir", data, "--lost", "n1,n2", "--output", "json"}
	ask := func(args ...string) (r offline.Recovered) {
		t.Helper()
		stdout, stderr, code := pontoon(t, args...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || !strings.Contains(stderr, "BREAKS PROMISES") {
			t.Fatalf("%s %s %d %v", stdout, stderr, code, err)
		}
		return r
	}
	inspect := func() string {
		t.Helper()
		stdout, stderr, code := pontoon(t, "debug", "inspect", "--data-dir", data, "-o", "json")
		if code != 0 {
			t.Fatal(stderr)
		}
		return stdout
	}
	before := inspect()
	l, err := net.Listen("tcp", c.peers["n1"])
	if err != nil {
		t.Fatal(err)
	}
	fails(t, "where node n1 is", append(args, "--yes-i-know")...)
	l.Close()
	fails(t, "has a majority", "debug", "unsafe-recover", "--data-dir", data, "--lost", "n1", "--range", "3", "--yes-i-know")
	if dry := ask(args...); dry.Written || len(dry.Ranges) != 5 || len(dry.Missing)+len(dry.Quorate) != 0 {
		t.Errorf("%+v", dry)
	}
	if now := inspect(); now != before {
		t.Errorf("saying what would be done changed\n%s to\n%s", before, now)
	}
	done := ask(append(args, "--yes-i-know")...)
	if !done.Written || len(done.Ranges) != 5 || done.NextRevision < 1_000_000 {
		t.Errorf("%+v", done)
	}
	if again := ask(args...); len(again.Ranges) != 0 || len(again.Quorate) != 5 {
		t.Errorf("%+v", again)
	}
	if out, stderr, code := pontoon(t, "debug", "verify", "--data-dir", data); code != 0 {
		t.Errorf("%s %s", out, stderr)
	}
	return done.NextRevision
}

// growAgain removes the lost nodes and has empty ones join, until every range has
// three equal replicas.
func (c *trio) growAgain() {
	c.t.Helper()
	for _, name := range []string{"n1", "n2"} {
		var stderr string
		until(c.t, func() string { return "node " + name + " to be removed: " + stderr }, func() (done bool) {
			_, msg, code := pontoon(c.t, "node", "remove", name, "--force", "--endpoints="+c.nodes["n3"].addr)
			stderr = msg
			return code == 0 // the directory follows the ranges a little later
		})
	}
	for _, name := range []string{"n4", "n5"} {
		c.start(name, "--join="+c.peers["n3"]).awaitReady()
	}
	c.healed("n3", 6, "n3", "n4", "n5")
	c.settle("n3")
}
