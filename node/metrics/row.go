package metrics

import (
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// Type of a family.
type Type string

// Types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// State says how much of etcd's meaning a family has here.
type State string

// States.
const (
	// Real: it counts what etcd counts, or what takes its place.
	Real State = "real"
	// Zero: it is there, so that queries have an answer, and never moves.
	Zero State = "zero"
	// Absent: it is not there.
	Absent State = "absent"
)

// Row is one of etcd's families.
type Row struct {
	Name  string
	Type  Type
	State State
	// Note says what is counted here, where that needs saying; or why nothing is.
	Note string
	Help string

	read func(*scrape) []*dto.Metric // nil: a collector of this package has the name
}

// Table returns every family that a real etcd 3.7 server can show, by name.
func Table() []Row {
	rows := slices.Concat(serverRows, diskRows, mvccRows, networkRows, debuggingRows, otherRows)
	slices.SortFunc(rows, func(a, b Row) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return rows
}

// scrape is what one answer to a scrape is made of.
type scrape struct {
	facts Facts
	own   map[string]*dto.MetricFamily // ours, by name
}

// fact is one value the node is asked for.
func fact(of func(Facts) float64) func(*scrape) []*dto.Metric {
	return func(s *scrape) []*dto.Metric { return []*dto.Metric{{Untyped: &dto.Untyped{Value: new(of(s.facts))}}} }
}

func flag(of func(Facts) bool) func(*scrape) []*dto.Metric {
	return fact(func(f Facts) float64 {
		if of(f) {
			return 1
		}
		return 0
	})
}

// tag is a gauge of 1 whose label says something.
func tag(label string, of func(Facts) string) func(*scrape) []*dto.Metric {
	return func(s *scrape) []*dto.Metric {
		return []*dto.Metric{{Label: labels(label, of(s.facts)), Untyped: &dto.Untyped{Value: new(1.0)}}}
	}
}

// ours shows a family of ours, with its labels renamed: from, to, ...; every
// other label is fixed.
func ours(name string, rename map[string]string, fixed ...string) func(*scrape) []*dto.Metric {
	return func(s *scrape) []*dto.Metric {
		var list []*dto.Metric
		for _, m := range s.own[name].GetMetric() {
			c := &dto.Metric{Gauge: m.Gauge, Counter: m.Counter, Histogram: m.Histogram, Label: labels(fixed...)}
			for _, l := range m.Label {
				if to, ok := rename[l.GetName()]; ok {
					c.Label = append(c.Label, &dto.LabelPair{Name: &to, Value: l.Value})
				}
			}
			list = append(list, c)
		}
		return list
	}
}

// sum adds up families of ours over all their labels.
func sum(names ...string) func(*scrape) []*dto.Metric {
	return func(s *scrape) []*dto.Metric {
		var v float64
		for _, name := range names {
			for _, m := range s.own[name].GetMetric() {
				v += value(m)
			}
		}
		return []*dto.Metric{{Untyped: &dto.Untyped{Value: &v}}}
	}
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
}

// labels makes pairs of name, value, ...
func labels(pairs ...string) (list []*dto.LabelPair) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, &dto.LabelPair{Name: &pairs[i], Value: &pairs[i+1]})
	}
	return list
}
