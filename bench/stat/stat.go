// Package stat summarises latencies of a run.
package stat

import (
	"fmt"
	"math/bits"
	"time"
)

// Each power of two of nanoseconds is cut into 32 buckets, so a quantile is off
// by at most 3 percent whatever the range, and merging is addition.
const (
	subBits = 5
	sub     = 1 << subBits
	buckets = (64 - subBits + 1) * sub
)

// Histogram counts durations. It is not safe for concurrent use: each client
// has its own, merged at the end.
type Histogram struct {
	counts [buckets]uint32
	n      int
	sum    time.Duration
	max    time.Duration
}

func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)*sub + int(v>>shift) - sub
}

// upper is the largest duration of a bucket.
func upper(i int) time.Duration {
	if i < sub {
		return time.Duration(i)
	}
	shift := i/sub - 1
	return time.Duration(uint64(i%sub+sub+1)<<shift - 1)
}

// Record counts one duration.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds all of o.
func (h *Histogram) Merge(o *Histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// Subtract takes away an earlier state of the same histogram. The maximum stays
// that of both.
func (h *Histogram) Subtract(earlier *Histogram) {
	for i, c := range earlier.counts {
		h.counts[i] -= c
	}
	h.n -= earlier.n
	h.sum -= earlier.sum
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() int { return h.n }

// Quantile returns the duration that a share q of all did not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int(q*float64(h.n) + 0.999999)
	for i, c := range h.counts {
		rank -= int(c)
		if rank <= 0 && h.n > 0 {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Summary is what a report shows of a histogram.
type Summary struct {
	Count     int     `json:"count"`
	PerSecond float64 `json:"per_second"`
	MeanMs    float64 `json:"mean_ms"`
	P50Ms     float64 `json:"p50_ms"`
	P90Ms     float64 `json:"p90_ms"`
	P99Ms     float64 `json:"p99_ms"`
	P999Ms    float64 `json:"p999_ms"`
	MaxMs     float64 `json:"max_ms"`
}

// Summarize condenses what was recorded during elapsed.
func (h *Histogram) Summarize(elapsed time.Duration) Summary {
	s := Summary{
		Count: h.n,
		P50Ms: Ms(h.Quantile(0.5)), P90Ms: Ms(h.Quantile(0.9)), P99Ms: Ms(h.Quantile(0.99)),
		P999Ms: Ms(h.Quantile(0.999)), MaxMs: Ms(h.max),
	}
	if h.n > 0 {
		s.MeanMs = Ms(h.sum / time.Duration(h.n))
	}
	if elapsed > 0 {
		s.PerSecond = float64(h.n) / elapsed.Seconds()
	}
	return s
}

func (s Summary) String() string {
	return fmt.Sprintf("%9d  %9.1f/s  p50 %8.2f ms  p90 %8.2f ms  p99 %8.2f ms  max %8.2f ms",
		s.Count, s.PerSecond, s.P50Ms, s.P90Ms, s.P99Ms, s.MaxMs)
}

// Ms converts to milliseconds.
func Ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
