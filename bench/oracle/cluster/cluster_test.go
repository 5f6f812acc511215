package cluster

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestEtcdStartsThreeNodesAndStops(t *testing.T) {
	c, err := StartEtcd(Options{Nodes: 3, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Endpoints()) != 3 || c.Ranges() != nil {
		t.Fatalf("endpoints %v, has ranges %v", c.Endpoints(), c.Ranges() != nil)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get("http://" + c.Endpoints()[0] + "/readyz"); err == nil {
		t.Fatal("the node still serves after Close")
	}
}

// I1: a process that ends early is reported with the end of its output.
func TestProcessThatEndsEarlyIsReportedWithItsOutput(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := startProcess("/bin/sh", log, []string{"-c", "echo port in use; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := p.exited(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("exited() = %v", err)
	}
	if got := string(p.logTail()); got != "port in use" {
		t.Fatalf("logTail() = %q", got)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
}

// I1: stop ends a process that is running.
func TestProcessStops(t *testing.T) {
	p, err := startProcess("/bin/sh", filepath.Join(t.TempDir(), "log"), []string{"-c", "exec sleep 600"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if p.exited() == nil {
		t.Fatal("the process still runs after stop")
	}
}
