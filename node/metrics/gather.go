package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Gatherer adds etcd's families to those of the node.
type Gatherer struct {
	own  prometheus.Gatherer
	node Node
	rows []Row
}

// NewGatherer reads own, and node, whenever it is asked.
func NewGatherer(own prometheus.Gatherer, node Node) *Gatherer {
	return &Gatherer{own: own, node: node, rows: Table()}
}

// Gather implements prometheus.Gatherer.
func (g *Gatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.own.Gather()
	s := &scrape{facts: g.node.Facts(), own: make(map[string]*dto.MetricFamily, len(families))}
	for _, f := range families {
		s.own[f.GetName()] = f
	}
	for i := range g.rows {
		row := &g.rows[i]
		if row.State == Absent || row.read == nil || s.own[row.Name] != nil {
			continue
		}
		if ms := row.read(s); len(ms) > 0 {
			families = append(families, row.family(ms))
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// family gives what was read the row's type.
func (r *Row) family(ms []*dto.Metric) *dto.MetricFamily {
	f := &dto.MetricFamily{Name: &r.Name, Help: &r.Help, Metric: ms}
	switch r.Type {
	case Counter:
		f.Type = dto.MetricType_COUNTER.Enum()
	case Gauge:
		f.Type = dto.MetricType_GAUGE.Enum()
	case Histogram:
		f.Type = dto.MetricType_HISTOGRAM.Enum()
	}
	for _, m := range ms {
		slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		v := value(m)
		switch r.Type {
		case Counter:
			m.Counter, m.Gauge, m.Untyped = &dto.Counter{Value: &v}, nil, nil
		case Gauge:
			m.Gauge, m.Counter, m.Untyped = &dto.Gauge{Value: &v}, nil, nil
		}
	}
	return f
}

// zero is one value that never moves.
func zero(*scrape) []*dto.Metric {
	return []*dto.Metric{{Untyped: &dto.Untyped{Value: new(0.0)}}}
}

// empty is a histogram that nothing is put into.
func empty(*scrape) []*dto.Metric {
	return []*dto.Metric{{Histogram: &dto.Histogram{SampleCount: new(uint64), SampleSum: new(float64)}}}
}
