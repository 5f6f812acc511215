package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/storage"
)

// wire carries the connections between nodes to a node's peer port, and can be
// cut: what was not handed over by then never arrives.
type wire struct {
	lis net.Listener
	to  string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newWire(t *testing.T, listen, to string) *wire {
	lis, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{lis: lis, to: to}
	t.Cleanup(func() {
		lis.Close()
		w.set(true)
	})
	go func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w
}

func (w *wire) carry(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	w.mu.Lock()
	if w.cut {
		w.mu.Unlock()
		return
	}
	w.conns = append(w.conns, from, to)
	w.mu.Unlock()
	go func() {
		io.Copy(to, from)
		to.Close()
	}()
	io.Copy(from, to)
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, c := range w.conns {
			c.Close()
		}
		w.conns = nil
	}
}

// powered is a cluster whose nodes lose their power together: first nothing
// passes between them any more, then each disk is what a crash leaves of it.
// That is one of the states in which the nodes could have gone down, each a
// moment after its last message arrived.
type powered struct {
	*cluster
	wires []*wire
}

func newPowered(t *testing.T, n int) *powered {
	p := &powered{}
	proxies := freePorts(t, n)
	p.cluster = layOut(t, n, func(i int, cfg *config.Config) {
		cfg.FS = storage.NewCrashableMemFS()
		p.wires = append(p.wires, newWire(t, proxies[i], cfg.ListenPeerURLs[0][len("http://"):]))
		cfg.AdvertisePeerURLs = []string{"http://" + proxies[i]}
		cfg.InitialCluster = ""
		for j, addr := range proxies {
			cfg.InitialCluster += fmt.Sprintf("n%d=http://%s,", j+1, addr)
		}
	})
	p.start()
	return p
}

// lose takes the power away and brings it back.
func (p *powered) lose(seed uint64) {
	for _, w := range p.wires {
		w.set(true)
	}
	for i, nd := range p.nodes {
		nd.cfg.FS = nd.cfg.FS.CrashClone([]int{0, 50, 100}[(seed+uint64(i))%3], seed+uint64(i))
	}
	var wg sync.WaitGroup
	for _, nd := range p.nodes {
		wg.Go(nd.kill)
	}
	wg.Wait()
	for _, w := range p.wires {
		w.set(false)
	}
	p.start()
}

// written is what one client was told: key -> revision and value.
type written struct {
	mu   sync.Mutex
	late bool // the power is going: what is answered now counts as unanswered
	acks map[string]ack
	seen map[int64]string // revision -> who got it
}

func (w *written) setLate(late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = late
}

type ack struct {
	rev   int64
	value string
}

// write puts keys of its own through one node until ctx ends, every third time
// two of them in a txn over ranges.
func (w *written) write(ctx context.Context, nd *testNode, id string) {
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%s-%d", id, i)
		keys := []string{fmt.Sprintf("a-%s-%d", id, i%20)}
		if i%3 == 0 {
			keys = append(keys, fmt.Sprintf("z-%s-%d", id, i%20))
		}
		req := &pb.TxnRequest{}
		for _, k := range keys {
			op := putOf(k)
			op.GetRequestPut().Value = []byte(value)
			req.Success = append(req.Success, op)
		}
		call, cancel := context.WithTimeout(context.Background(), time.Second)
		resp, err := nd.kv().Txn(call, req)
		cancel()
		w.mu.Lock()
		unanswered := err != nil || w.late
		for _, k := range keys {
			if unanswered {
				delete(w.acks, k) // its fate is open: either value may be there
				continue
			}
			w.acks[k] = ack{resp.Header.Revision, value}
		}
		if !unanswered {
			if other, twice := w.seen[resp.Header.Revision]; twice {
				nd.t.Errorf("revision %d was given to %s and %s", resp.Header.Revision, other, value)
			}
			w.seen[resp.Header.Revision] = value
		}
		w.mu.Unlock()
	}
}

// Power loss of a whole cluster under load, at any moment: what was
// acknowledged is there, at its revision, with the other keys of its txn, and
// no revision is given twice (P6, P12, P29: nothing is answered that a crash
// could take back).
func TestPowerLoss(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("nodes=%d", n), func(t *testing.T) {
			t.Parallel()
			p := newPowered(t, n)
			p.nodes[0].split("m")
			w := &written{acks: map[string]ack{}, seen: map[int64]string{}}
			for round := range 3 {
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				for i, nd := range p.nodes {
					for c := range 4 / n {
						wg.Go(func() { w.write(ctx, nd, fmt.Sprintf("%d.%d.%d", round, i, c)) })
					}
				}
				w.waitFor(t, (round+1)*100)
				cancel()
				w.setLate(true)
				p.lose(uint64(round * 7))
				wg.Wait()
				w.setLate(false)
				w.check(t, p.nodes[round%n])
			}
		})
	}
}

func (w *written) waitFor(t *testing.T, n int) {
	t.Helper()
	wait(t, fmt.Sprint(n, " acknowledged writes"), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.seen) >= n
	})
}

func (w *written) check(t *testing.T, nd *testNode) {
	t.Helper()
	var highest int64
	for k, a := range w.acks {
		nd.mustHave(k, a.value, a.rev)
	}
	for rev := range w.seen {
		highest = max(highest, rev)
	}
	if rev := nd.put("after", "x"); rev <= highest {
		t.Errorf("revision %d after %d was acknowledged", rev, highest)
	}
}
