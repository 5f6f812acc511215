package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/verify"
	"github.com/pontoon-kv/pontoon/node/config"
)

// Outcome is what was seen of a run, to be judged.
type Outcome struct {
	Plan    string
	Run     verify.Run
	Stale   []verify.Operation // serializable reads
	Broken  []verify.Violation // promises that were seen broken while it ran
	Done    map[string]int     // faults and changes
	Virtual time.Duration      // how long it took the cluster
}

// Run runs a cluster through the faults of a seed. It needs virtual time: call it
// in a synctest bubble. What is returned is for Judge, outside of it.
func Run(ctx context.Context, o Options) (*Outcome, error) {
	o.complete()
	adopt(o.Seed)
	p := newPlan(o.Seed, o.Steps)
	out := &Outcome{Plan: p.String()}
	began := time.Now()
	c, err := newCluster(o, p.nodes, func(cfg *config.Config) { cfg.LeaderLease = p.leaderLease })
	if err != nil {
		return nil, err
	}
	err = out.play(ctx, c, p)
	out.Virtual = time.Since(began)
	err = errors.Join(err, c.close())
	time.Sleep(afterwards)
	return out, err
}

// afterwards is how long what a node began may go on after it stopped: probes of
// the gossip wait for their answers.
const afterwards = time.Minute

func (out *Outcome) play(ctx context.Context, c *cluster, p plan) error {
	if err := c.startAll(ctx); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	for i := 1; i < p.ranges; i++ {
		if err := c.steer.Split(ctx, robust.KeyName(i*keys/p.ranges)); err != nil {
			return fmt.Errorf("first splits: %w", err)
		}
	}
	t, err := robust.StartTraffic(ctx, robust.TrafficOptions{
		Seed: c.opts.Seed, Clients: clients, Keys: keys, Interval: interval,
		Gateways: c.gateways, Open: c.open, SettleLimit: settleLimit,
	})
	if err != nil {
		return fmt.Errorf("traffic: %w", err)
	}
	defer t.Close()
	w := newWatchers(c, t)
	if err := w.start(); err != nil {
		return err
	}
	h, err := newHistorian(c, t)
	if err != nil {
		return err
	}
	looking, stop := context.WithCancel(ctx)
	defer stop()
	var history sync.WaitGroup
	history.Go(func() { h.loop(looking) })
	stale := &staleReaders{t: t}
	if err := stale.start(looking, c); err != nil {
		return err
	}
	n := newNemesis(c, t, stale, p)
	n.run(ctx)
	n.heal()
	t.StopClients()
	stop()
	history.Wait()
	out.Stale = stale.stop()
	out.Done = n.done
	maps.Copy(out.Done, h.counts)
	out.Broken = append(out.Broken, h.broken...)
	for _, err := range n.broken {
		out.broken("step", err)
	}
	c.opts.Trace.Info("healed")
	healed := time.Now()
	rest, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := c.startAll(rest); err != nil {
		out.broken("liveness", err)
		return nil
	}
	var stuck []verify.Violation
	out.Run, stuck = t.Finish(ctx)
	out.Broken = append(out.Broken, stuck...)
	c.opts.Trace.Info("settled", "after", time.Since(healed))
	out.rest(rest, c)
	quiet, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := out.expiry(quiet, h.client); err != nil {
		out.broken("expiry", err)
	}
	handing, cancel := context.WithTimeout(ctx, 2*settleLimit)
	defer cancel()
	if err := out.handedOn(handing, c, h.client); err != nil {
		out.broken("lease", err)
	}
	return nil
}

func (out *Outcome) broken(check string, err error) {
	out.Broken = append(out.Broken, verify.Violation{Check: check, Detail: err.Error()})
}
