package router

import "github.com/prometheus/client_golang/prometheus"

// metrics of a gateway's way to the ranges. Labels never name a range.
type metrics struct {
	operations prometheus.Counter
	redirects  prometheus.Counter
	retries    prometheus.Counter
	lookups    prometheus.Counter
	spanning   prometheus.Counter
	local      prometheus.Counter
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "pontoon", Subsystem: "router", Name: name, Help: help})
	}
	return metrics{
		operations: counter("operations_total", "Operations for one range, however often they were sent."),
		redirects:  counter("redirects_total", "Operations sent again at once, because the answer told where to."),
		retries:    counter("retries_total", "Operations sent again after a pause."),
		lookups:    counter("directory_lookups_total", "Ranges asked of the directory, because the cache did not know them."),
		spanning:   counter("spanning_writes_total", "Writes that touched several ranges and took the locks of a txn."),
		local:      counter("local_reads_total", "Serializable reads answered by this node's replicas."),
	}
}

// Register shows what the sender, and the service that uses it, count.
func (s *Sender) Register(reg prometheus.Registerer) {
	m := &s.metrics
	reg.MustRegister(m.operations, m.redirects, m.retries, m.lookups, m.spanning, m.local)
}
