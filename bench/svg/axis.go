package svg

import (
	"fmt"
	"math"
)

// axis maps values to pixels.
type axis struct {
	low, high float64
	from, to  float64 // pixels
	log       bool
	ticks     []float64
}

// newAxis covers the values, from pixel to pixel.
func newAxis(values []float64, from, to float64, log bool) axis {
	a := axis{low: math.Inf(1), high: math.Inf(-1), from: from, to: to, log: log}
	for _, v := range values {
		if usable(v, log) {
			a.low, a.high = min(a.low, v), max(a.high, v)
		}
	}
	if a.low > a.high { // nothing to show
		a.low, a.high = 1, 10
	}
	if log {
		a.logTicks()
	} else {
		a.linearTicks()
	}
	return a
}

// usable says whether a value can be drawn (I2).
func usable(v float64, log bool) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!log || v > 0)
}

// logTicks are at 1, 2 and 5 times powers of ten, or at powers of ten alone if
// there are many; the axis begins and ends with one.
func (a *axis) logTicks() {
	steps := []float64{1, 2, 5}
	if a.high/a.low > 1000 {
		steps = []float64{1}
	}
	var all []float64
	for e := math.Floor(math.Log10(a.low)); e <= math.Ceil(math.Log10(a.high)); e++ {
		for _, s := range steps {
			all = append(all, s*math.Pow(10, e))
		}
	}
	all = append(all, math.Pow(10, math.Ceil(math.Log10(a.high))+1))
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= a.low*1.0001 {
		first++
	}
	for last-1 > first+1 && all[last-1] >= a.high*0.9999 {
		last--
	}
	a.ticks = all[first : last+1]
	a.low, a.high = a.ticks[0], a.ticks[len(a.ticks)-1]
}

// linearTicks begin at zero and are about five.
func (a *axis) linearTicks() {
	a.low = min(a.low, 0)
	if a.high <= a.low {
		a.high = a.low + 1
	}
	span := a.high - a.low
	step := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, s := range []float64{1, 2, 5, 10} {
		if span/(step*s) <= 6 {
			step *= s
			break
		}
	}
	a.low = math.Floor(a.low/step) * step
	for v := a.low; ; v += step {
		a.ticks = append(a.ticks, v)
		if v >= a.high-step/1000 {
			break
		}
	}
	a.high = a.ticks[len(a.ticks)-1]
}

// at returns the pixel of a value.
func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// label prints a tick.
func label(v float64) string {
	switch m := math.Abs(v); {
	case m >= 1e6:
		return fmt.Sprintf("%gM", round(v/1e6))
	case m >= 1e4:
		return fmt.Sprintf("%gk", round(v/1e3))
	}
	return fmt.Sprintf("%g", round(v))
}

// round drops what arithmetic left behind the digits.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }
