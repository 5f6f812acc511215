package result

import (
	"testing"
)

// of builds a run: per workload, throughputs of the subject and of the baseline
// by round.
func of(workload string, subject, baseline []float64) *Run {
	r := &Run{Subject: System{Name: "p"}}
	if baseline != nil {
		r.Baseline = &System{Name: "e"}
	}
	for i := range subject {
		r.Samples = append(r.Samples, Sample{Workload: workload, System: "p", Round: i, Metrics: map[Metric]float64{Throughput: subject[i]}})
		if baseline != nil {
			r.Samples = append(r.Samples, Sample{Workload: workload, System: "e", Round: i, Metrics: map[Metric]float64{Throughput: baseline[i]}})
		}
	}
	return r
}

// The ratio is that of each pair: a slow round of both does not show.
func TestRatioPairsRounds(t *testing.T) {
	r := of("w", []float64{100, 10, 300}, []float64{50, 5, 100})
	c := r.Cell("w")
	if got := c.Ratio(Throughput); got.Median != 2 || got.Min != 2 || got.Max != 3 || got.N != 3 {
		t.Errorf("%+v", got)
	}
	if got := c.Difference(Throughput); got.Median != 50 {
		t.Errorf("%+v", got)
	}
	// A failed sample takes its pair with it and nothing else (I2).
	r.Samples[2].Failure, r.Samples[2].Metrics = "broke", nil
	c = r.Cell("w")
	if got := c.Ratio(Throughput); got.N != 2 || c.Failed != 1 || c.Subject(Throughput).N != 2 || c.Baseline(Throughput).N != 3 {
		t.Errorf("%+v, %+v", got, c)
	}
	if got := c.Ratio(CPU); got.N != 0 {
		t.Errorf("a metric that nobody measured: %+v", got)
	}
	if len(r.Failures()) != 1 {
		t.Errorf("%v", r.Failures())
	}
}

func TestDisturbedSamplesAreCounted(t *testing.T) {
	r := of("w", []float64{1, 1}, []float64{1, 1})
	r.Samples[0].Metrics[Others], r.Samples[3].Metrics[Others] = 0.3, 0.05
	if c := r.Cell("w"); c.Disturbed != 1 {
		t.Errorf("%+v", c)
	}
}

func TestCheck(t *testing.T) {
	five := func(v ...float64) []float64 { return v }
	level := five(1, 1, 1, 1, 1)
	base := of("w", five(100, 101, 99, 100, 102), nil)
	for _, c := range []struct {
		name          string
		before, after *Run
		worse, better int
	}{
		{"same", base, base, 0, 0},
		{"slower", base, of("w", five(80, 81, 79, 80, 82), nil), 1, 0},
		{"faster", base, of("w", five(130, 131, 129, 130, 132), nil), 0, 1},
		{"slower, but rounds overlap", base, of("w", five(80, 81, 79, 100, 82), nil), 0, 0},
		{"apart, but by little", base, of("w", five(95, 95, 95, 95, 95), nil), 0, 0},
		{"few rounds want more", of("w", five(100, 101), nil), of("w", five(85, 86), nil), 0, 0},
		{"few rounds, far off", of("w", five(100, 101), nil), of("w", five(60, 61), nil), 1, 0},
		{"a slower day: the ratio stays", of("w", five(10, 10, 10, 10, 10), five(5, 5, 5, 5, 5)), of("w", five(2, 2, 2, 2, 2), level), 0, 0},
		{"the ratio falls", of("w", five(2, 2, 2, 2, 2), level), of("w", level, level), 1, 0},
		{"one run has no baseline", of("w", five(2, 2, 2, 2, 2), level), of("w", five(2, 2, 2, 2, 2), nil), 0, 0},
	} {
		changes, compared := Check(c.before, c.after, DefaultLimits())
		worse, better := 0, 0
		for _, x := range changes {
			if x.Worse {
				worse++
			} else {
				better++
			}
		}
		if worse != c.worse || better != c.better || compared != 1 {
			t.Errorf("%s: %v, %d compared", c.name, changes, compared)
		}
	}
	// Latency is better when it falls.
	slow, fast := of("w", level, nil), of("w", level, nil)
	for i := range level {
		slow.Samples[i].Metrics[P99], fast.Samples[i].Metrics[P99] = 10, 5
	}
	if changes, _ := Check(fast, slow, DefaultLimits()); len(changes) != 1 || !changes[0].Worse {
		t.Errorf("%v", changes)
	}
	if changes, _ := Check(slow, fast, DefaultLimits()); len(changes) != 1 || changes[0].Worse {
		t.Errorf("%v", changes)
	}
}

func TestLost(t *testing.T) {
	a, b := of("w", []float64{1}, nil), of("v", []float64{1}, nil)
	if got := Lost(a, b); len(got) != 1 || got[0] != "w" {
		t.Errorf("%v", got)
	}
	failed := of("w", []float64{1}, nil)
	failed.Samples[0].Failure = "broke"
	if len(Lost(a, failed)) != 1 || len(Lost(a, a)) != 0 {
		t.Error("a workload that only fails is not lost, or one that is there is")
	}
}
