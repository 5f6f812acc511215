package suite

import (
	"time"

	"github.com/pontoon-kv/pontoon/bench/measure"
	"github.com/pontoon-kv/pontoon/bench/result"
	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/workload"
)

// samples turns an outcome into what is kept of it: the workload's own sample
// and one for each aspect. What servers used belongs to the first.
func samples(base result.Sample, out *workload.Outcome, used measure.Usage) []result.Sample {
	own := base
	own.Errors = int(out.Errors)
	fill(&own, &out.Latency, out.Elapsed)
	cost(own.Metrics, out, used)
	all := []result.Sample{own}
	for _, a := range out.Aspects {
		s := base
		s.Workload, s.Unit = a.Name, a.Unit
		fill(&s, &a.Latency, a.Elapsed)
		all = append(all, s)
	}
	return all
}

func fill(s *result.Sample, h *stat.Histogram, elapsed time.Duration) {
	sum := h.Summarize(elapsed)
	s.Count = sum.Count
	s.Metrics = map[result.Metric]float64{
		result.Mean: sum.MeanMs, result.P50: sum.P50Ms, result.P90: sum.P90Ms,
		result.P99: sum.P99Ms, result.P999: sum.P999Ms, result.Max: sum.MaxMs,
	}
	if elapsed > 0 {
		s.Metrics[result.Throughput] = sum.PerSecond
	}
}

// cost adds what servers used, as far as it is known.
func cost(m map[result.Metric]float64, out *workload.Outcome, used measure.Usage) {
	if !used.Known || out.Ops == 0 {
		return
	}
	ops := float64(out.Ops)
	m[result.CPU] = float64(used.CPU) / float64(time.Microsecond) / ops
	m[result.Allocated] = used.Allocated / ops
	m[result.Syncs] = used.Syncs / ops
	m[result.Resident] = float64(used.Resident)
	m[result.Disk] = float64(used.Disk)
	m[result.Servers], m[result.Client], m[result.Others] = used.Servers, used.Client, used.Others
	if out.Bytes > 0 {
		m[result.WriteAmp] = float64(used.Written) / float64(out.Bytes)
	}
}
