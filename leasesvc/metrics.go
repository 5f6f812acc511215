package leasesvc

import "github.com/prometheus/client_golang/prometheus"

type lessorMetrics struct {
	renewed prometheus.Counter
	expired prometheus.Counter
	failed  prometheus.Counter
}

func newLessorMetrics(reg prometheus.Registerer) lessorMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "pontoon_lessor_" + name, Help: help})
	}
	m := lessorMetrics{
		renewed: counter("renewed_total", "Keepalives that renewed a lease led by this node."),
		expired: counter("expired_total", "Leases that this node expired."),
		failed:  counter("expiry_failures_total", "Expiries that did not succeed and are tried again."),
	}
	if reg != nil {
		reg.MustRegister(m.renewed, m.expired, m.failed)
	}
	return m
}
