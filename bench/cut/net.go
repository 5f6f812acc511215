package cut

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// link is one direction between two nodes.
type link struct{ from, to string }

// Net is the network between the nodes.
type Net struct {
	logger *slog.Logger

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	cut     map[link]bool
	reset   map[link]bool
	slow    map[link]Slowness
	pids    map[string]func() int
	fronts  []net.Listener
	conns   map[*conn]bool
	closed  bool
	strange int // connections whose owner was not found

	wg sync.WaitGroup
}

// New returns a network without nodes.
func New(logger *slog.Logger) *Net {
	return &Net{
		logger: logger, changed: make(chan struct{}), cut: map[link]bool{}, reset: map[link]bool{}, slow: map[link]Slowness{},
		pids: map[string]func() int{}, conns: map[*conn]bool{},
	}
}

// Front opens a port that leads to a node's own peer port. pid tells the node's
// process, 0 if it does not run.
func (n *Net) Front(name, listen, target string, pid func() int) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("front of %s: %w", name, err)
	}
	n.mu.Lock()
	n.pids[name] = pid
	n.fronts = append(n.fronts, l)
	n.mu.Unlock()
	n.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.serve(name, target, in) })
		}
	})
	return nil
}

// Cut holds back what from sends to to. With reset, sockets between the two are
// closed and new ones are closed at once, as a firewall that rejects would do.
func (n *Net) Cut(from, to string, reset bool) {
	n.change(func() {
		n.cut[link{from, to}], n.reset[link{from, to}] = true, reset
		if reset {
			n.closeLocked(from, to)
		}
	})
}

// CutBoth cuts both directions between two nodes.
func (n *Net) CutBoth(a, b string, reset bool) {
	n.Cut(a, b, reset)
	n.Cut(b, a, reset)
}

// Slowness is what a long or a bad line does to the bytes of a connection.
type Slowness struct {
	Delay, Jitter time.Duration // of what is sent at once; at most Delay + Jitter
	// Lost is how many of a hundred packets are lost. TCP sends them again after
	// a timeout of at least 200 ms (RFC 6298, Linux's TCP_RTO_MIN), and all that
	// follows waits for them.
	Lost int
}

const retransmission = 200 * time.Millisecond

func (s Slowness) wait() time.Duration {
	if s == (Slowness{}) {
		return 0
	}
	d := s.Delay + rand.N(s.Jitter+1)
	if rand.IntN(100) < s.Lost {
		d += retransmission
	}
	return d
}

// Slow makes what from sends to to arrive late.
func (n *Net) Slow(from, to string, s Slowness) {
	n.change(func() { n.slow[link{from, to}] = s })
}

// Heal opens every link.
func (n *Net) Heal() {
	n.change(func() {
		clear(n.cut)
		clear(n.reset)
		clear(n.slow)
	})
}

func (n *Net) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *Net) closeLocked(a, b string) {
	for c := range n.conns {
		if c.from == a && c.to == b || c.from == b && c.to == a {
			c.close()
		}
	}
}

// Strangers is how many connections came from a process that is no node: they
// are never cut, so a run that counts any proved less than it says.
func (n *Net) Strangers() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.strange
}

// Close ends all connections.
func (n *Net) Close() error {
	n.mu.Lock()
	n.closed = true
	for _, l := range n.fronts {
		_ = l.Close()
	}
	for c := range n.conns {
		c.close()
	}
	n.mu.Unlock()
	n.Heal()
	n.wg.Wait()
	return nil
}

// open waits until a direction is open; false: the connection is over.
func (n *Net) open(l link, over <-chan struct{}) bool {
	for {
		n.mu.Lock()
		cut, changed := n.cut[l], n.changed
		n.mu.Unlock()
		if !cut {
			return true
		}
		select {
		case <-changed:
		case <-over:
			return false
		}
	}
}

// late waits as long as a direction makes bytes wait; false: the connection is over.
func (n *Net) late(l link, over <-chan struct{}) bool {
	n.mu.Lock()
	d := n.slow[l].wait()
	n.mu.Unlock()
	if d == 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-over:
		return false
	}
}

// owner names the node whose process opened a connection. The process may be
// younger than its socket's entry in the tables, so it is looked for a few times.
// open is false if the process has ended since.
func (n *Net) owner(in net.Conn) (name string, open bool) {
	for try := range 5 {
		n.mu.Lock()
		pids := make(map[string]int, len(n.pids))
		for name, pid := range n.pids {
			pids[name] = pid()
		}
		n.mu.Unlock()
		if name, open = ownerOf(in, pids); name != "" {
			return name, true
		}
		time.Sleep(time.Duration(try+1) * 5 * time.Millisecond)
	}
	return "", open
}
