package chapters

import (
	"context"

	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

// chapter is one section by name.
type chapter struct {
	name string
	run  func(context.Context, suite.Env) (*result.Section, error)
}

// Name is what --workloads selects.
func (c chapter) Name() string { return c.name }

// Run measures.
func (c chapter) Run(ctx context.Context, env suite.Env) (*result.Section, error) {
	s, err := c.run(ctx, env)
	if s != nil {
		s.Name = c.name
	}
	return s, err
}

// All are the chapters of a report. A quick one leaves out what takes more than a
// minute.
func All(quick bool) []suite.Section {
	all := []suite.Section{chapter{"limits", limitsChapter}, chapter{"sequencer", sequencerChapter}}
	if !quick {
		all = append(all, chapter{"scaleout", scaleoutChapter}, chapter{"restart", restartChapter})
	}
	return all
}

func num(v float64) string { return goals.Number(v) }
