package sidebyside

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/dial"
)

// Run compares the two systems. The report is complete as far as the error
// allows; falling below the floor is an error.
func Run(ctx context.Context, out io.Writer, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "pontoon-compare-")
		if err != nil {
			return nil, err
		}
		o.Dir = dir
		defer os.RemoveAll(dir)
	}
	cells := len(o.Clients) * 2
	total := o.Rounds * 2 * cells
	fmt.Fprintf(out, "compare: %s against %s, %d nodes each, %d ranges, %d-byte values, %d connections, %d rounds, about %v of load\n",
		o.Subject.Kind, o.Baseline.Kind, o.Nodes, o.Ranges, o.ValueSize, o.Connections, o.Rounds,
		time.Duration(total)*(o.Cell+o.Warmup))
	rep := &Report{Options: describe(&o)}
	done := 0
	for round := range o.Rounds {
		order := []int{0, 1} // ABBA: neither always goes first
		if round%2 == 1 {
			order = []int{1, 0}
		}
		var results [2][]Cell
		for _, which := range order {
			system := []System{o.Baseline, o.Subject}[which]
			cells, err := o.measure(ctx, system, filepath.Join(o.Dir, fmt.Sprintf("r%d-%d", round, which)), func() {
				done++
				o.Progress("compare", done, total)
			})
			if err != nil {
				return rep, fmt.Errorf("round %d, %s: %w", round+1, system.Kind, err)
			}
			results[which] = cells
		}
		rep.addRound(out, round, results[0], results[1])
	}
	rep.summarize()
	if o.Floor > 0 {
		return rep, rep.below(o.Floor)
	}
	return rep, nil
}

// measure runs all cells on a fresh cluster.
func (o *Options) measure(ctx context.Context, s System, dir string, step func()) ([]Cell, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // the next cluster gets the disk as this one did
	c, err := cluster.Start(ctx, cluster.Options{Kind: s.Kind, Binary: s.Binary, Args: s.Args, Nodes: o.Nodes, Dir: dir, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Split(ctx, splitKeys(o.Keys, o.Ranges)...); err != nil {
		return nil, err
	}
	pool, err := dial.OpenPool(c.Endpoints(), o.Connections)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	var pids []int
	for _, n := range c.Nodes() {
		pids = append(pids, n.Pid())
	}
	value := o.value()
	if err := o.fill(ctx, pool, value); err != nil {
		return nil, err
	}
	var cells []Cell
	for _, clients := range o.Clients {
		for _, op := range []string{"put", "get"} {
			do := request(get)
			if op == "put" {
				do = put(value)
			}
			begin, known := readCPU(pids)
			sum, err := o.cell(ctx, pool, clients, do)
			if err != nil {
				return nil, fmt.Errorf("%s with %d clients: %w", op, clients, err)
			}
			cell := Cell{Op: op, Clients: clients, Summary: sum}
			if end, ok := readCPU(pids); ok && known {
				cell.CPU = end.since(begin)
			}
			cells = append(cells, cell)
			step()
		}
	}
	return cells, nil
}

// value is text that does not compress away.
func (o *Options) value() string {
	rng := rand.New(rand.NewPCG(o.Seed, 2))
	b := make([]byte, o.ValueSize)
	for i := range b {
		b[i] = byte('!' + rng.IntN(90))
	}
	return string(b)
}
