package svg

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
)

// wellFormed parses a document to its end.
func wellFormed(t *testing.T, doc []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(doc))
	for {
		if _, err := dec.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
	}
}

func TestChartsAreWellFormedWhateverTheInput(t *testing.T) {
	nan := math.NaN()
	for _, doc := range [][]byte{
		Bars("a < b & c", "x", nil),
		Bars("bars", "x", []Bar{{Label: `<"&>`, Value: 2, Low: 1, High: 3, Good: true}, {Label: "none"}, {Label: "nan", Value: nan, Low: nan, High: math.Inf(1)}}),
		Spans("spans", []string{"a", "b"}, []SpanRow{{"w", []Span{{1, 2, 3}, {0, 0, 0}}}, {"v", nil}}),
		Lines(Chart{}),
		Lines(Chart{Title: "t", LogX: true, Lines: []Line{{Name: "l", X: []float64{1, 10, 0}, Y: []float64{5, nan, 7}}, {Name: "r", X: []float64{1, 100}, Y: []float64{3, 3}, Reference: true}}}),
	} {
		wellFormed(t, doc)
		if bytes.Contains(doc, []byte("NaN")) || bytes.Contains(doc, []byte("Inf")) {
			t.Errorf("no number in %s", doc)
		}
	}
}

func TestAxisCoversItsValues(t *testing.T) {
	for _, c := range []struct {
		values []float64
		log    bool
	}{
		{[]float64{0.7, 2.4}, true}, {[]float64{0.003, 4000}, true}, {[]float64{1, 1}, true}, {[]float64{10, 1000}, true},
		{[]float64{0, 7}, false}, {[]float64{123456, 99}, false}, {[]float64{-3, 3}, false}, {[]float64{0}, false}, {nil, true}, {nil, false},
	} {
		a := newAxis(c.values, 100, 500, c.log)
		for _, v := range c.values {
			if p := a.at(v); p < 99.9 || p > 500.1 {
				t.Errorf("%v, log %v: %v lies at %v, ticks %v", c.values, c.log, v, p, a.ticks)
			}
		}
		if n := len(a.ticks); n < 2 || n > 14 {
			t.Errorf("%v, log %v: ticks %v", c.values, c.log, a.ticks)
		}
	}
}

// A bar grows to the right above 1 and to the left below it, and says its value.
func TestBarsGrowFromOne(t *testing.T) {
	doc := string(Bars("t", "x", []Bar{{Label: "up", Value: 2, Low: 2, High: 2, Good: true}, {Label: "down", Value: 0.5, Low: 0.5, High: 0.5}}))
	for _, want := range []string{">2.00<", ">0.50<", colour(0), colour(1)} {
		if !strings.Contains(doc, want) {
			t.Errorf("no %q in %s", want, doc)
		}
	}
}
