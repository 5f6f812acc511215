package robust

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/disk"
	"github.com/pontoon-kv/pontoon/bench/kubeload"
	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

// Run starts a cluster, plays rounds of load and faults and judges each. The
// error is about the run itself or names the first violation; the report is
// complete either way.
func Run(ctx context.Context, out io.Writer, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	temporary := o.Dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "pontoon-robust-")
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "robust: %s, mode %s, %d nodes, %d clients, %d keys, seed %d, %v in rounds of %v, data in %s\n",
		o.Kind, o.Mode, o.Nodes, o.Clients, o.Keys, o.Seed, o.Duration, o.Round, o.Dir)
	rep := &Report{Kind: o.Kind, Mode: o.Mode, Seed: o.Seed, Nodes: o.Nodes, Clients: o.Clients}
	err := play(ctx, out, &o, rep)
	if err == nil {
		err = rep.Err()
	}
	if temporary && err == nil {
		err = os.RemoveAll(o.Dir)
	}
	return rep, err
}

func play(ctx context.Context, out io.Writer, o *Options, rep *Report) error {
	disks := o.Mode == ModeAll
	if disks {
		if err := disk.Check(); err != nil {
			disks, rep.LeftOut = false, names(diskFaults)
			fmt.Fprintf(out, "robust: left out: %s: %v\n", strings.Join(rep.LeftOut, ", "), err)
		}
	}
	kinds := faultsOf(o.Mode, disks)
	rep.expect(kinds)
	deck := newDeck(kinds, o.Seed)
	c, err := cluster.Start(ctx, cluster.Options{
		Kind: o.Kind, Binary: o.Binary, Nodes: o.Nodes, Dir: o.Dir, Logger: o.Logger,
		Args:  append([]string{"--watch-progress-notify-interval=1s"}, o.Args...),
		Links: o.Mode == ModeNet || o.Mode == ModeAll, Disks: disks,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Split(ctx, splitKeys(o.Keys, o.Ranges)...); err != nil {
		return err
	}
	s, k, err := prepare(ctx, o, c)
	if err != nil {
		return err
	}
	if s != nil {
		defer s.Close()
	}
	var watch *sampler
	if o.Samples != "" || o.Mode == ModeSoak {
		watch = startSampler(ctx, c)
		defer watch.stop()
	}
	rounds := max(1, int((o.Duration+o.Round/2)/o.Round))
	var carried []verify.Operation
	var compactAt verify.Revision
	for n := range rounds {
		o.Progress("robust", n, rounds)
		r := &round{n: n, opts: o, c: c, steer: s, deck: deck, carried: carried, compactAt: compactAt}
		if k != nil {
			k.l.SetEndpoints(c.Endpoints())
		}
		var one *RoundReport
		one, carried, err = r.play(ctx)
		compactAt = r.base.Rev
		if one != nil {
			rep.add(one)
			one.WriteText(out)
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		if !one.OK() {
			return nil // what follows would only repeat it
		}
	}
	o.Progress("robust", rounds, rounds)
	if watch != nil {
		rep.Level = watch.stop().judge(o.Mode == ModeSoak)
		rep.Violations += len(rep.Level.Violations)
		if err := rep.Level.write(o.Samples); err != nil {
			return err
		}
	}
	if s != nil {
		rep.Final = finish(ctx, s, k, c)
		rep.Final.WriteText(out)
		rep.Violations += len(rep.Final.Violations)
		if len(rep.Final.Violations) > 0 {
			return nil
		}
	}
	return c.StopAll(20 * time.Second)
}

// prepare makes what the mode needs beside nodes: commands, settings and the
// Kubernetes-shaped load.
func prepare(ctx context.Context, o *Options, c *cluster.Cluster) (*steer.Client, *kube, error) {
	if o.Kind != cluster.Pontoon {
		return nil, nil, nil
	}
	s := steer.New(func() []string {
		var up []string
		for _, n := range c.Nodes() {
			if n.Running() {
				up = append(up, n.Endpoint)
			}
		}
		return up
	})
	if !o.Mode.moves() {
		return s, nil, nil
	}
	if o.Mode == ModeElastic {
		within, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if err := s.Set(within, "dead_after_seconds", deadAfter); err != nil {
			return nil, nil, fmt.Errorf("settings: %w", err)
		}
	}
	k, err := startKube(ctx, o, c.Endpoints())
	return s, k, err
}

// deadAfter is the setting under which a node that is away counts as lost.
const deadAfter = "5s"

// finish ends the load that is left, and looks at the cluster at rest.
func finish(ctx context.Context, s *steer.Client, k *kube, c *cluster.Cluster) *Final {
	var objects *kubeload.Report
	var err error
	if k != nil {
		objects, err = k.finish(ctx)
	}
	f := rest(ctx, s, len(c.Nodes()))
	if err != nil {
		f.Violations = append(f.Violations, err.Error())
	}
	if objects != nil {
		f.ObjectsVerified, f.ValuesVerified = objects.ObjectsVerified, objects.ValuesVerified
	}
	return &f
}
