package sequencer

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	replies prometheus.Counter
	refused prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		replies: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pontoon_sequencer_replies_total", Help: "Asks that this node answered as the sequencer.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pontoon_sequencer_refusals_total", Help: "Asks that this node sent elsewhere, or could not confirm its leadership for.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.replies, m.refused)
	}
	return m
}
