package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/verify"
	"github.com/pontoon-kv/pontoon/sim/simnet"
)

// txnFaults change ranges and end nodes while txns hold locks.
var txnFaults = []kind{
	{"split under locks", 4, staged(splitUnderLocks)},
	{"restart under locks", 3, staged(restartUnderLocks)},
}

// lockChanges is how often such a step changes something.
const lockChanges = 4

// splitUnderLocks splits what txns have locked.
func splitUnderLocks(ctx context.Context, n *nemesis, s step) error {
	return n.underLocks(ctx, s, func(ctx context.Context, i int, _ *machine) error {
		key := fmt.Sprintf("%s%c", robust.KeyName(keys/3+s.pick(i, keys/3)), '!'+rune(s.pick(i, 90)))
		if n.c.steer.Split(ctx, key) == nil {
			n.note("split of locks")
		}
		return nil
	})
}

// restartUnderLocks ends nodes and starts them at once: their watches begin anew,
// from a state that lacks what a txn at a lower revision than its newest writes.
func restartUnderLocks(ctx context.Context, n *nemesis, s step) error {
	return n.underLocks(ctx, s, func(ctx context.Context, i int, far *machine) error {
		m := n.victim(s, i)
		if m == far || !n.take(m) {
			return nil
		}
		defer n.release(m)
		return n.restart(context.WithoutCancel(ctx), s, []*machine{m})
	})
}

// underLocks deletes spans over several ranges from a node that is far from all
// others, so that locks stay for some round trips, and makes changes meanwhile.
func (n *nemesis) underLocks(ctx context.Context, s step, change func(ctx context.Context, i int, far *machine) error) error {
	m := n.victim(s, 0)
	p, err := n.probe(s, m, 0, nil)
	if err != nil {
		return err
	}
	s.hold += 1500 * time.Millisecond
	deleting, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for deleting.Err() == nil {
			p.span(context.WithoutCancel(ctx))
			sleep(deleting, probeEvery)
		}
	})
	var failed error
	wg.Go(func() {
		for i := range lockChanges {
			sleep(ctx, s.hold/(lockChanges+1))
			limited, cancel := context.WithTimeout(ctx, s.hold)
			failed = errors.Join(failed, change(limited, i, m))
			cancel()
		}
	})
	shape := simnet.Shape{Delay: time.Duration(20+s.pick(1, 60)) * time.Millisecond}
	err = n.during(ctx, s, shape, n.around(m, true, true)...)
	stop()
	wg.Wait()
	return errors.Join(err, failed)
}

// span fills what it deletes next: a deletion of nothing has no effect that could
// be lost.
func (p *probe) span(ctx context.Context) {
	var fill verify.Request
	for i := keys / 4; i < keys*3/4; i++ {
		p.n++
		fill.Then = append(fill.Then, verify.Op{Kind: verify.OpPut, Key: robust.KeyName(i), Value: fmt.Sprintf("p%d-%d", p.id, p.n)})
	}
	p.patient(ctx, fill)
	from, to := p.rng.IntN(keys/4), keys-p.rng.IntN(keys/4)-1
	p.patient(ctx, one(verify.Op{Kind: verify.OpDelete, Key: robust.KeyName(from), End: robust.KeyName(to)}))
}

func (p *probe) patient(ctx context.Context, req verify.Request) {
	ctx, cancel := context.WithTimeout(ctx, 10*probeTimeout)
	defer cancel()
	_, _ = p.t.Do(ctx, p.client, p.id, req)
}
