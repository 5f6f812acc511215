package driver

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/placement/operator"
)

type metrics struct {
	operators       *prometheus.CounterVec
	inFlight        prometheus.Gauge
	underReplicated prometheus.Gauge
	withoutLeader   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		operators: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pontoon_placement_operators_total", Help: "Operators that ended here, by kind and result.",
		}, []string{"kind", "result"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pontoon_placement_operators_in_flight", Help: "Operators that run, on the node that drives placement.",
		}),
		underReplicated: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pontoon_placement_under_replicated_ranges",
			Help: "Ranges with fewer replicas than wanted on nodes that are not gone, on the node that drives placement.",
		}),
		withoutLeader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pontoon_placement_ranges_without_leader",
			Help: "Ranges that no leader reports, on the node that drives placement.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.operators, m.inFlight, m.underReplicated, m.withoutLeader)
	}
	return m
}

func (m *metrics) ended(o *operator.Operator) {
	m.operators.WithLabelValues(string(o.Kind), string(o.State())).Inc()
}

// reset clears what only the node that drives knows.
func (m *metrics) reset() {
	m.inFlight.Set(0)
	m.underReplicated.Set(0)
	m.withoutLeader.Set(0)
}
