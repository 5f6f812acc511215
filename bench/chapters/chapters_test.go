package chapters

import (
	"testing"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/goals"
	"github.com/pontoon-kv/pontoon/bench/limits"
	"github.com/pontoon-kv/pontoon/bench/restart"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/scaleout"
	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

// Every goal over a figure has a chapter that supplies it.
func TestGoalsHaveTheirFigures(t *testing.T) {
	have := map[string]bool{goals.SequencerPerCore: true} // TestSequencer
	for _, s := range []*result.Section{scaleoutSection(scaled()), restartSection(restarted())} {
		for name := range s.Figures {
			have[name] = true
		}
	}
	for _, g := range goals.Table {
		if g.How == goals.Figure && !have[g.Workloads[0]] {
			t.Errorf("no chapter supplies %s for %q", g.Workloads[0], g.Title)
		}
	}
}

func scaled() *scaleout.Report {
	at := func(kind cluster.Kind, nodes, round int, perSecond float64) scaleout.Point {
		return scaleout.Point{System: kind, Nodes: nodes, Round: round, Summary: stat.Summary{PerSecond: perSecond}}
	}
	return &scaleout.Report{
		Points: []scaleout.Point{
			at(cluster.Pontoon, 3, 0, 100), at(cluster.Pontoon, 9, 0, 240), at(cluster.Etcd, 3, 0, 90),
			at(cluster.Pontoon, 3, 1, 300), at(cluster.Pontoon, 3, 2, 110),
		},
		Growth: []scaleout.Growth{
			{System: cluster.Etcd, From: 3, To: 9, Throughput: 0.8},
			{System: cluster.Pontoon, From: 3, To: 6, Throughput: 1.7},
			{System: cluster.Pontoon, From: 3, To: 9, Throughput: 2.4},
		},
	}
}

func TestScaleoutIsPlottedByMedians(t *testing.T) {
	s := scaleoutSection(scaled())
	if got := s.Figures[goals.ScaleOut]; got != 2.4 {
		t.Errorf("growth from 3 to 9 nodes is %v", got)
	}
	lines := s.Plots[0].Series
	if len(lines) != 2 || len(lines[0].Points) != 2 || lines[0].Points[0] != (result.Point{X: 3, Y: 110}) || lines[0].Points[1] != (result.Point{X: 9, Y: 240}) {
		t.Errorf("%+v", lines)
	}
	if len(s.Tables[1].Rows) != 5 {
		t.Errorf("%d cells in the table", len(s.Tables[1].Rows))
	}
}

func restarted() *restart.Report {
	median := func(seconds float64, resident int64) restart.Restart {
		return restart.Restart{FirstSeconds: seconds, Serving: restart.Memory{Resident: resident}}
	}
	return &restart.Report{Nodes: 3, Keys: 10,
		Systems: []restart.System{{System: cluster.Pontoon, Median: median(1, 1<<20)}, {System: cluster.Etcd, Median: median(4, 8<<20)}},
		Ratios:  &restart.Ratios{First: 0.25, Resident: 0.125}}
}

func TestRestartRatiosAreFigures(t *testing.T) {
	s := restartSection(restarted())
	if s.Figures[goals.RestartTime] != 0.25 || s.Figures[goals.RestartResident] != 0.125 || len(s.Tables[0].Rows) != 3 {
		t.Errorf("%+v", s)
	}
}

func TestLimitsAreFigures(t *testing.T) {
	s := limitsSection(&limits.Report{Echo: []limits.Echo{{Clients: 64, Summary: stat.Summary{PerSecond: 1234}}}})
	if s.Figures["limits.echo.c64"] != 1234 || len(s.Plots[0].Series[0].Points) != 1 {
		t.Errorf("%+v", s)
	}
}

// The chapter runs the binary that is measured and hands the goal its figure.
func TestSequencer(t *testing.T) {
	subject := clustertest.Subject(t)
	if subject.Kind != cluster.Pontoon {
		t.Skip("etcd has no sequencer")
	}
	s, err := chapter{"sequencer", sequencerChapter}.Run(t.Context(), suite.Env{Pontoon: cluster.System{Binary: subject.Path}, Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "sequencer" || len(s.Tables[0].Rows) != 4 || s.Figures[goals.SequencerPerCore] <= 0 {
		t.Errorf("%+v", s)
	}
	if _, err := sequencerChapter(t.Context(), suite.Env{Pontoon: cluster.System{Binary: "/bin/false"}, Quick: true}); err == nil {
		t.Error("a binary that measures nothing passed")
	}
}
