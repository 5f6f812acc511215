package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

const (
	firstProbe = 100 // as a client in the history
	// probeEvery is how often a probe asks: what a step is after may last for a
	// tenth of a second.
	probeEvery = 25 * time.Millisecond
	// probeTimeout is short, since a node in trouble holds a request up.
	probeTimeout = 250 * time.Millisecond
)

// probe is a client at one node for as long as a step lasts. What it sees is part
// of the history as what all clients see.
type probe struct {
	t      *robust.Traffic
	stale  *staleReaders
	id     int
	client *clientv3.Client
	rng    *rand.Rand
	keys   []string // asked for more often than others
	writes int      // percent of its requests; none: it leaves the ranges idle

	known map[string]verify.Revision
	n     int
}

// probe opens a client at a machine.
func (n *nemesis) probe(s step, m *machine, writes int, keys []string) (*probe, error) {
	client, err := n.t.Open(m.clientAddr())
	id := int(n.probes.Add(1))
	return &probe{
		t: n.t, stale: n.stale, id: firstProbe + id, client: client, keys: keys, writes: writes,
		rng: rand.New(rand.NewPCG(s.draw[3], uint64(id))), known: map[string]verify.Revision{},
	}, err
}

// loop goes on until ctx ends.
func (p *probe) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if p.writes == 0 && p.rng.IntN(2) == 0 {
			p.stale.read(context.WithoutCancel(ctx), p.client, p.key(), "")
		} else {
			p.do(context.WithoutCancel(ctx), p.request())
		}
		sleep(ctx, time.Duration(p.rng.Int64N(int64(2*probeEvery))))
	}
}

func (p *probe) do(ctx context.Context, req verify.Request) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	resp, err := p.t.Do(ctx, p.client, p.id, req)
	if err != nil {
		return
	}
	for _, r := range resp.Results {
		for _, kv := range r.KVs {
			p.known[kv.Key] = kv.Mod
		}
	}
}

func (p *probe) key() string {
	if p.rng.IntN(4) == 0 {
		return robust.KeyName(p.rng.IntN(keys))
	}
	return p.keys[p.rng.IntN(len(p.keys))]
}

// request reads or writes one key, or both: a txn that reads what others are
// about to write is where an answer comes from that is not committed.
func (p *probe) request() verify.Request {
	key := p.key()
	get := verify.Op{Kind: verify.OpGet, Key: key}
	p.n++
	put := verify.Op{Kind: verify.OpPut, Key: key, Value: fmt.Sprintf("p%d-%d", p.id, p.n)}
	switch {
	case p.rng.IntN(100) < p.writes:
		return one(put)
	case p.writes > 0 && p.rng.IntN(2) == 0:
		unchanged := verify.Compare{Key: key, Target: verify.TargetMod, Result: "=", Number: int64(p.known[key])}
		return verify.Request{If: []verify.Compare{unchanged}, Then: []verify.Op{put}, Else: []verify.Op{get}}
	default:
		return one(get)
	}
}

func one(op verify.Op) verify.Request { return verify.Request{Then: []verify.Op{op}} }

// readers are three clients at a leader. Every other time they write, too: what is
// read may be what another has not been answered yet.
func (n *nemesis) readers(s step, sc scene) ([]*probe, error) {
	return n.probesAt(s, sc, 15*int(s.draw[2]>>40%2), sc.leader, sc.leader, sc.leader)
}

// writers are clients at two of the other voters.
func (n *nemesis) writers(s step, sc scene) ([]*probe, error) {
	return n.probesAt(s, sc, 60, sc.voters[:min(2, len(sc.voters))]...)
}

func (n *nemesis) probesAt(s step, sc scene, writes int, at ...*machine) (list []*probe, err error) {
	hot := sc.hot(s)
	for _, m := range at {
		p, failed := n.probe(s, m, writes, hot)
		list, err = append(list, p), errors.Join(err, failed)
	}
	return list, err
}

// while runs probes as long as fn does.
func while(ctx context.Context, probes []*probe, fn func()) {
	asking, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range probes {
		wg.Go(func() { p.loop(asking) })
	}
	fn()
	stop()
	wg.Wait()
}
