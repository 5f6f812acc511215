package chapters

import (
	"context"
	"fmt"
	"slices"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/scaleout"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

// scaleoutChapter has throughput against nodes that are capped.
func scaleoutChapter(ctx context.Context, env suite.Env) (*result.Section, error) {
	o := scaleout.Options{Pontoon: env.Pontoon.Binary, Rounds: 2, Dir: env.Dir, Logger: env.Logger, Progress: env.Progress}
	if env.Etcd != nil {
		o.Etcd = env.Etcd.Binary
	}
	rep, err := scaleout.Run(ctx, env.Out, o)
	if rep == nil {
		return nil, err
	}
	return scaleoutSection(rep), err
}

func scaleoutSection(rep *scaleout.Report) *result.Section {
	s := &result.Section{Title: "Scale-out", Data: rep, Figures: map[string]float64{}, Notes: []string{fmt.Sprintf(
		"Each server process is capped at %g cores (cgroups of version %d); the client is not. Puts of %d B from %d clients over %d ranges.",
		rep.Setup.CPU, rep.Setup.CgroupVersion, rep.Setup.ValueSize, rep.Setup.Clients, rep.Setup.Ranges)}}
	plot := result.Plot{Name: "put", Title: "Puts against capped nodes", X: "nodes", Y: "puts/s"}
	table := result.Table{Columns: []string{"system", "nodes", "round", "puts/s", "p50 ms", "p99 ms", "CPU us/put", "of the caps used"}}
	for _, kind := range []cluster.Kind{cluster.Pontoon, cluster.Etcd} {
		series, at := result.Series{Name: string(kind)}, map[int][]float64{}
		for _, p := range rep.Points {
			if p.System != kind {
				continue
			}
			if at[p.Nodes] == nil {
				series.Points = append(series.Points, result.Point{X: float64(p.Nodes)})
			}
			at[p.Nodes] = append(at[p.Nodes], p.PerSecond)
			table.Rows = append(table.Rows, []string{string(kind), fmt.Sprint(p.Nodes), fmt.Sprint(p.Round), num(p.PerSecond), num(p.P50Ms),
				num(p.P99Ms), num(p.CPUMicros), fmt.Sprintf("%.0f%%", 100*p.Used)})
		}
		for i := range series.Points {
			values := at[int(series.Points[i].X)]
			slices.Sort(values)
			series.Points[i].Y = values[len(values)/2]
		}
		if len(series.Points) > 0 {
			plot.Series = append(plot.Series, series)
		}
	}
	growth := result.Table{Title: "Growth", Columns: []string{"system", "nodes", "throughput", "use of the caps", "cost of a put"}}
	for _, g := range rep.Growth {
		growth.Rows = append(growth.Rows, []string{string(g.System), fmt.Sprintf("%d to %d", g.From, g.To), num(g.Throughput) + " x", num(g.Used) + " x", num(g.Cost) + " x"})
		if g.System == cluster.Pontoon && g.From == 3 && g.To == 9 {
			s.Figures[goals.ScaleOut] = g.Throughput
		}
	}
	s.Plots, s.Tables = []result.Plot{plot}, []result.Table{growth, table}
	return s
}
