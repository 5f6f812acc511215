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

func TestOverRounds(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Rounds
	}{
		{nil, Rounds{}},
		{[]float64{7}, Rounds{1, 7, 7, 7}},
		{[]float64{3, 1, 2}, Rounds{3, 2, 1, 3}},
		{[]float64{4, 1, 3, 2}, Rounds{4, 2.5, 1, 4}},
	} {
		in := slices.Clone(c.in)
		if got := OverRounds(in); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.in, got, c.want)
		}
		if !slices.Equal(in, c.in) {
			t.Errorf("%v was reordered", c.in)
		}
	}
	a, b := OverRounds([]float64{1, 2}), OverRounds([]float64{2, 3})
	if Apart(a, b) || !Apart(a, OverRounds([]float64{2.1})) || !Apart(OverRounds([]float64{2.1}), a) {
		t.Error("spans that touch are apart, or the other way round")
	}
}
