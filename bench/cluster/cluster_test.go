package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/dial"
)

// A killed node comes back with its data, a paused one holds nobody up, and
// nothing runs after Close.
func TestKillRestartClose(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c := clustertest.Start(t, clustertest.Subject(t), 3)
	client, err := dial.Open(dial.Options{Endpoints: c.Endpoints()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(ctx, "a", "1"); err != nil {
		t.Fatal(err)
	}
	victim := c.Nodes()[2]
	if err := victim.Kill(); err != nil || victim.Running() || victim.Pid() != 0 {
		t.Fatalf("kill: %v, running %v", err, victim.Running())
	}
	if err := victim.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Leader(ctx); err != nil {
		t.Fatal(err)
	}
	if err := victim.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Resume(); err != nil {
		t.Fatal(err)
	}
	other, err := dial.Open(dial.Options{Endpoints: []string{victim.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	got, err := other.Get(ctx, "a")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "1" {
		t.Fatalf("%v %v", got, err)
	}
	if err := c.Nodes()[0].Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes() {
		if crashes := n.Crashes(); len(crashes) > 0 {
			t.Errorf("%v after kills and stops that were asked for", crashes)
		}
	}
	// An end from elsewhere is a crash, also if a kill follows.
	if err := syscall.Kill(c.Nodes()[1].Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for c.Nodes()[1].Running() && ctx.Err() == nil {
		runtime.Gosched()
	}
	if err := c.Nodes()[1].Kill(); err != nil || len(c.Nodes()[1].Crashes()) != 1 || len(c.Nodes()[1].Crashes()) != 1 {
		t.Errorf("%v, crashes %v", err, c.Nodes()[1].Crashes())
	}
	pid := victim.Pid()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d survived Close", pid)
	}
}

// What a node enters through becomes the node: it is the process that lives.
func TestEnter(t *testing.T) {
	b := clustertest.Subject(t)
	refused := errors.New("no room")
	o := cluster.Options{Kind: b.Kind, Binary: b.Path, Nodes: 1, Dir: t.TempDir(), Enter: func(string) ([]string, error) { return nil, refused }}
	if _, err := cluster.Start(t.Context(), o); !errors.Is(err, refused) {
		t.Errorf("started: %v", err)
	}
	o.Enter = func(node string) ([]string, error) {
		return []string{"sh", "-c", `echo "$1 is $$"; shift; exec "$@"`, "sh", node}, nil
	}
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	n := c.Nodes()[0]
	log, err := os.ReadFile(n.LogFile)
	if want := fmt.Sprintf("n1 is %d\n", n.Pid()); err != nil || !strings.HasPrefix(string(log), want) {
		t.Errorf("%v, the log has no %q", err, want)
	}
}

func TestStartReportsWhatIsWrong(t *testing.T) {
	if _, err := cluster.Start(t.Context(), cluster.Options{Kind: cluster.Pontoon, Binary: "/does/not/exist"}); err == nil {
		t.Error("a missing binary was accepted")
	}
	if _, err := cluster.Start(t.Context(), cluster.Options{Kind: "other", Binary: os.Args[0]}); err == nil {
		t.Error("an unknown kind was accepted")
	}
	// A process that ends at once is reported at once, not after the timeout.
	began := time.Now()
	_, err := cluster.Start(t.Context(), cluster.Options{Kind: cluster.Etcd, Binary: "/bin/false", Dir: t.TempDir()})
	if err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
