package chapters

import (
	"context"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/limits"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

// limitsChapter has the reference lines that no store on this machine crosses.
func limitsChapter(ctx context.Context, env suite.Env) (*result.Section, error) {
	o := limits.Options{Binary: env.Pontoon.Binary, Dir: env.Dir, Progress: env.Progress}
	if env.Quick {
		o.Cell, o.Warmup, o.Syncs = time.Second, 300*time.Millisecond, 300
	}
	rep, err := limits.Run(ctx, env.Out, o)
	if rep == nil {
		return nil, err
	}
	return limitsSection(rep), err
}

func limitsSection(rep *limits.Report) *result.Section {
	s := &result.Section{Title: "Physical limits", Data: rep, Figures: map[string]float64{}, Notes: []string{
		"Measured in the same run: syncs of one file, synced batches of the engine with nothing around it, and puts to a gRPC server that does " +
			"nothing, by the same clients over the same connections. No store on this machine can be faster."}}
	echo := result.Table{Title: "gRPC echo", Columns: []string{"clients", "/s", "p50 ms", "p99 ms", "server CPU us/op"}}
	line := result.Series{Name: "echo"}
	for _, e := range rep.Echo {
		echo.Rows = append(echo.Rows, []string{fmt.Sprint(e.Clients), num(e.PerSecond), num(e.P50Ms), num(e.P99Ms), num(e.CPUMicros)})
		line.Points = append(line.Points, result.Point{X: float64(e.Clients), Y: e.PerSecond})
		s.Figures[fmt.Sprintf("limits.echo.c%d", e.Clients)] = e.PerSecond
	}
	engine := result.Table{Title: "Synced batches of the engine", Columns: []string{"committers", "/s", "p50 ms", "p99 ms", "CPU us/op"}}
	for _, e := range rep.Engine {
		engine.Rows = append(engine.Rows, []string{fmt.Sprint(e.Committers), num(e.PerSecond), num(e.P50Ms), num(e.P99Ms), num(e.CPUMicros)})
	}
	sync := result.Table{Title: "Sync of one file", Columns: []string{"write", "bytes", "p50 ms", "p99 ms"}}
	for _, e := range rep.Sync {
		sync.Rows = append(sync.Rows, []string{e.What, fmt.Sprint(e.Bytes), num(e.P50Ms), num(e.P99Ms)})
	}
	s.Tables = []result.Table{echo, engine, sync}
	s.Plots = []result.Plot{{Name: "echo", Title: "gRPC echo", X: "clients", Y: "requests/s", LogX: true, LogY: true, Series: []result.Series{line}}}
	return s
}
