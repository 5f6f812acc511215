package chapters

import (
	"context"
	"fmt"

	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/restart"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

// restartKeys is what goals ask for.
const restartKeys = 10_000_000

// restartChapter has the time to serving with many keys, and the memory then.
func restartChapter(ctx context.Context, env suite.Env) (*result.Section, error) {
	o := restart.Options{Pontoon: env.Pontoon.Binary, Keys: restartKeys, Dir: env.Dir, Logger: env.Logger, Progress: env.Progress}
	if env.Etcd != nil {
		o.Etcd = env.Etcd.Binary
	}
	rep, err := restart.Run(ctx, env.Out, o)
	if rep == nil {
		return nil, err
	}
	return restartSection(rep), err
}

func restartSection(rep *restart.Report) *result.Section {
	s := &result.Section{Title: fmt.Sprintf("Restart with %d keys", rep.Keys), Data: rep, Figures: map[string]float64{}, Notes: []string{
		fmt.Sprintf("All %d nodes are killed and started; medians of the restarts. Memory is of all nodes, when every one serves and a while later.", rep.Nodes)}}
	table := result.Table{Columns: []string{"system", "first read s", "every node s", "RSS then", "anonymous then", "RSS later", "anonymous later"}}
	for _, sys := range rep.Systems {
		m := sys.Median
		mib := func(b int64) string { return fmt.Sprintf("%d MiB", b>>20) }
		table.Rows = append(table.Rows, []string{string(sys.System), num(m.FirstSeconds), num(m.AllSeconds), mib(m.Serving.Resident), mib(m.Serving.Anonymous),
			mib(m.Rested.Resident), mib(m.Rested.Anonymous)})
	}
	if q := rep.Ratios; q != nil {
		table.Rows = append(table.Rows, []string{"ratio", num(q.First), num(q.All), num(q.Resident), num(q.Anonymous), num(q.RestResident), num(q.RestAnonymous)})
		s.Figures[goals.RestartTime], s.Figures[goals.RestartResident] = q.First, q.Resident
	}
	s.Tables = []result.Table{table}
	return s
}
