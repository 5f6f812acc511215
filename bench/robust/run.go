package robust

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
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
	fmt.Fprintf(out, "robust: %s, %d nodes, %d clients, %d keys, seed %d, %v in rounds of %v, data in %s\n",
		o.Kind, o.Nodes, o.Clients, o.Keys, o.Seed, o.Duration, o.Round, o.Dir)
	rep := &Report{Kind: o.Kind, Seed: o.Seed, Nodes: o.Nodes, Clients: o.Clients}
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
	c, err := cluster.Start(ctx, cluster.Options{
		Kind: o.Kind, Binary: o.Binary, Nodes: o.Nodes, Dir: o.Dir, Logger: o.Logger,
		Args: append([]string{"--watch-progress-notify-interval=1s"}, o.Args...),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Split(ctx, splitKeys(o.Keys, o.Ranges)...); err != nil {
		return err
	}
	rounds := max(1, int((o.Duration+o.Round/2)/o.Round))
	var carried []verify.Operation
	for n := range rounds {
		o.Progress("robust", n, rounds)
		r := &round{n: n, opts: o, c: c, carried: carried}
		var one *RoundReport
		one, carried, err = r.play(ctx)
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
	return c.StopAll(20 * time.Second)
}
