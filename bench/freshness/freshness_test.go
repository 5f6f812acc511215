package freshness

import (
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/stat"
)

// The measurement ends and its numbers are plausible; the limits of the product
// are for an idle machine and are not set here.
func TestMeasure(t *testing.T) {
	b := clustertest.Subject(t)
	rep, err := Run(t.Context(), t.Output(), Options{
		Systems: []cluster.System{{Kind: b.Kind, Binary: b.Path}}, Probe: Probe{Samples: 40, Ranges: 4}, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	rep.WriteText(t.Output())
	r := rep.Results[0]
	for _, s := range []stat.Summary{r.ProgressWait, r.ProgressTotal, r.OneRange, r.AllRanges, r.OneRangeQuiet, r.AllRangesQuiet} {
		if s.Count != 40 || s.P50Ms <= 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestLimits(t *testing.T) {
	p99 := func(ms float64) stat.Summary { return stat.Summary{P99Ms: ms} }
	o := Options{MaxProgress: 20 * time.Millisecond, MaxCrossing: 10 * time.Millisecond}
	good := Result{ProgressWait: p99(19), OneRange: p99(5), AllRanges: p99(14), OneRangeQuiet: p99(5), AllRangesQuiet: p99(15)}
	if err := o.limits(good); err != nil {
		t.Error(err)
	}
	slow, crossing, quiet := good, good, good
	slow.ProgressWait, crossing.AllRanges, quiet.AllRangesQuiet = p99(21), p99(16), p99(16)
	for i, bad := range []Result{slow, crossing, quiet} {
		if o.limits(bad) == nil {
			t.Errorf("%d accepted", i)
		}
	}
}
