package stat

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreCloseToExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var a, b Histogram
	var all []time.Duration
	for i := range 20000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(&b)
	slices.Sort(all)
	for _, q := range []float64{0.1, 0.5, 0.9, 0.99, 1} {
		exact := float64(all[min(int(q*float64(len(all))), len(all)-1)])
		got := float64(a.Quantile(q))
		if got < exact*0.96-1 || got > exact*1.04+100 {
			t.Errorf("q %v: got %v, exact %v", q, time.Duration(got), time.Duration(exact))
		}
	}
	if a.Count() != 20000 || a.Quantile(1) != all[len(all)-1] {
		t.Errorf("count %d max %v", a.Count(), a.Quantile(1))
	}
}

func TestBucketsAreContiguous(t *testing.T) {
	for i := range buckets - sub*6 {
		if bucket(upper(i)) != i || bucket(upper(i)+1) != i+1 {
			t.Fatalf("bucket %d ends at %d", i, upper(i))
		}
	}
}
