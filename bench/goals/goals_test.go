package goals

import (
	"testing"

	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

func sample(name, system string, round int, m result.Metric, v float64) result.Sample {
	return result.Sample{Workload: name, System: system, Round: round, Metrics: map[result.Metric]float64{m: v}}
}

func runOf(samples ...result.Sample) *result.Run {
	return &result.Run{Subject: result.System{Name: "pontoon"}, Baseline: &result.System{Name: "etcd"}, Samples: samples}
}

func TestJudge(t *testing.T) {
	ratio := Goal{How: Ratio, Metric: result.Throughput, Least: true, Workloads: []string{"a", "b"}, Floor: 1.2, Aim: 2}
	more := Goal{How: Difference, Metric: result.P99, Workloads: []string{"w"}, Floor: 3, Aim: 1}
	self := Goal{How: Self, Metric: result.P99, Workloads: []string{"c"}, Floor: 1.5, Aim: 1.1}
	figure := Goal{How: Figure, Least: true, Workloads: []string{"f"}, Floor: 2, Aim: 3}
	pair := func(name string, m result.Metric, p, e float64) []result.Sample {
		return []result.Sample{sample(name, "pontoon", 0, m, p), sample(name, "etcd", 0, m, e)}
	}
	withFigure := runOf()
	withFigure.Sections = []result.Section{{Figures: map[string]float64{"f": 2.5}}}
	for _, c := range []struct {
		name     string
		goal     Goal
		run      *result.Run
		want     Verdict
		measured float64
	}{
		{"the worst of two decides", ratio, runOf(append(pair("a", result.Throughput, 30, 10), pair("b", result.Throughput, 15, 10)...)...), Met, 1.5},
		{"both reach the aim", ratio, runOf(append(pair("a", result.Throughput, 30, 10), pair("b", result.Throughput, 20, 10)...)...), AimMet, 2},
		{"one misses", ratio, runOf(append(pair("a", result.Throughput, 11, 10), pair("b", result.Throughput, 99, 10)...)...), Missed, 1.1},
		{"one is absent", ratio, runOf(pair("a", result.Throughput, 30, 10)...), NotMeasured, 0},
		{"milliseconds more", more, runOf(pair("w", result.P99, 12, 10)...), Met, 2},
		{"too many more", more, runOf(pair("w", result.P99, 14, 10)...), Missed, 4},
		{"against itself", self, runOf(append(pair("c", result.P99, 14, 90), pair("c/rest", result.P99, 10, 10)...)...), Met, 1.4},
		{"without rest", self, runOf(pair("c", result.P99, 14, 90)...), NotMeasured, 0},
		{"figure", figure, withFigure, Met, 2.5},
		{"no figure", figure, runOf(), NotMeasured, 0},
		{"stated only", Goal{How: Ratio, Metric: result.WriteAmp, Stated: true, Aim: 1, Workloads: []string{"a"}}, runOf(pair("a", result.WriteAmp, 3, 2)...), JustStated, 1.5},
	} {
		j := Judge(c.run, []Goal{c.goal})[0]
		if j.Verdict != c.want || j.Measured.Median != c.measured {
			t.Errorf("%s: %s at %v, want %s at %v", c.name, j.Verdict, j.Measured.Median, c.want, c.measured)
		}
	}
	beside := Judge(runOf(append(pair("c", result.P99, 14, 90), pair("c/rest", result.P99, 10, 10)...)...), []Goal{self})[0].Beside
	if beside == nil || beside.Median != 9 {
		t.Errorf("etcd beside: %+v", beside)
	}
}

// Every goal names workloads that the full catalogue has, so that none can stay
// unmeasured by a slip of the pen.
func TestGoalsNameWorkloadsThatExist(t *testing.T) {
	exist := map[string]bool{"watch/all-ranges": true} // an aspect of watch/one-range
	for _, g := range workload.Catalog(false) {
		for _, w := range g.Workloads {
			exist[w.Name] = true
		}
	}
	for _, g := range Table {
		for _, name := range g.Workloads {
			if g.How != Figure && !exist[name] {
				t.Errorf("%s: no workload %s", g.Title, name)
			}
		}
		if !g.Stated && g.reaches(g.Floor, g.Aim) && g.Floor != g.Aim {
			t.Errorf("%s: the floor is beyond the aim", g.Title)
		}
	}
}
