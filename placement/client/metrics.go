package client

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slowRead is when etcd asks for a read index again.
const slowRead = 500 * time.Millisecond

type metrics struct {
	messages prometheus.Counter
	asks     prometheus.Counter
	reads    prometheus.Counter
	failures prometheus.Counter
	slow     prometheus.Counter
	latency  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "pontoon_sequencer_client_" + name, Help: help})
	}
	m := metrics{
		messages: counter("messages_total", "Messages to the sequencer, repeats not counted."),
		asks:     counter("asks_total", "Asks for numbers folded into messages."),
		reads:    counter("reads_total", "Read revisions asked for."),
		failures: counter("failures_total", "Callers that got no answer in time."),
		slow:     counter("slow_reads_total", "Messages whose readers waited longer than 500 ms for a read revision."),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pontoon_sequencer_client_reply_seconds", Help: "Time from sending a message to its reply.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16),
		}),
	}
	if reg != nil {
		reg.MustRegister(m.messages, m.asks, m.reads, m.failures, m.slow, m.latency)
	}
	return m
}
