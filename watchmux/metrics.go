package watchmux

import "github.com/prometheus/client_golang/prometheus"

// metrics of the service. Nothing is labelled by range, key or watcher.
type metrics struct {
	streams   prometheus.Gauge
	watchers  prometheus.Gauge
	feeds     prometheus.Gauge
	behind    prometheus.Gauge
	events    prometheus.Counter
	rehomed   prometheus.Counter
	spilled   prometheus.Counter
	pages     prometheus.Counter
	pushes    prometheus.Counter
	compacted prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "pontoon", Subsystem: "watch", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "pontoon", Subsystem: "watch", Name: name, Help: help})
	}
	m := &metrics{
		streams:   gauge("streams", "Open watch streams of clients."),
		watchers:  gauge("watchers", "Watchers of all streams."),
		feeds:     gauge("feeds", "Range feeds that this gateway keeps."),
		behind:    gauge("watchers_behind", "Watchers that catch up from history."),
		events:    counter("events_sent_total", "Events sent to clients."),
		rehomed:   counter("feeds_resumed_total", "Feeds that ended and were opened again."),
		spilled:   counter("watchers_spilled_total", "Live watchers that fell behind and catch up from history."),
		pages:     counter("history_pages_total", "Pages of history read to catch up."),
		pushes:    counter("closed_pushes_total", "Times that ranges were pushed to close."),
		compacted: counter("watchers_compacted_total", "Watchers ended because their revision was compacted."),
	}
	if r != nil {
		r.MustRegister(m.streams, m.watchers, m.feeds, m.behind, m.events, m.rehomed, m.spilled, m.pages, m.pushes, m.compacted)
	}
	return m
}
