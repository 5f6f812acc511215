package metrics

import "github.com/prometheus/client_golang/prometheus"

// Health counts what probes were answered.
type Health struct {
	success, failures prometheus.Counter
	result            *prometheus.GaugeVec
	checks            *prometheus.CounterVec
}

// NewHealth returns counters at zero.
func NewHealth(reg prometheus.Registerer) *Health {
	const result = "etcd_server_healthcheck"
	h := &Health{
		success: counter("etcd_server_health_success"), failures: counter("etcd_server_health_failures"),
		result: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: result, Help: help(result)}, []string{"type", "name"}),
		checks: counters("etcd_server_healthchecks_total", "type", "name", "status"),
	}
	if reg != nil {
		reg.MustRegister(h.success, h.failures, h.result, h.checks)
	}
	return h
}

// Probed counts an answer of /health.
func (h *Health) Probed(ok bool) {
	if ok {
		h.success.Inc()
	} else {
		h.failures.Inc()
	}
}

// Checked counts one check of /livez or /readyz.
func (h *Health) Checked(kind, name string, ok bool) {
	status, v := "success", 1.0
	if !ok {
		status, v = "error", 0
	}
	h.result.WithLabelValues(kind, name).Set(v)
	h.checks.WithLabelValues(kind, name, status).Inc()
}
