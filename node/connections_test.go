package node_test

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// wantIdle is how many idle connections a node must bear.
const wantIdle = 10_000

// idleConns returns how many connections both ends of which are in this
// process the limit of open files allows, after raising it as far as it goes.
func idleConns(t *testing.T) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < limit.Max {
		raised := syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	const own = 1000 // files of the nodes of other tests
	n := wantIdle
	if free := (int64(limit.Cur) - own) / 2; free < wantIdle {
		n = int(max(free, 100))
	}
	return n
}

// Ten thousand idle connections, or as many as the limit of open files allows:
// every other one says nothing at all, the rest greet and fall silent. Service
// goes on meanwhile, and the node stops cleanly with all of them open.
func TestIdleConnections(t *testing.T) {
	nd := newCluster(t, 1, nil).nodes[0]
	nd.put("a", "0")
	n := idleConns(t)
	t.Logf("%d of %d connections", n, wantIdle)
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				conns[i] = idle(t, nd.addr, i%2 == 0)
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	if t.Failed() {
		return
	}
	began := time.Now()
	var last int64
	for range 50 {
		last = nd.put("a", "1")
	}
	nd.mustHave("a", "1", last)
	if code, body := nd.get("/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	t.Logf("50 writes took %v", time.Since(began))
	nd.stop()
}

// idle opens a connection that will say nothing more.
func idle(t *testing.T, addr string, greet bool) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	if !greet {
		return c
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Error(err)
		return c
	}
	framer := http2.NewFramer(c, c)
	if err := framer.WriteSettings(); err != nil {
		t.Error(err)
		return c
	}
	if f, err := framer.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
		t.Errorf("no settings from the node: %v, %v", f, err)
	}
	return c
}
