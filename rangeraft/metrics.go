package rangeraft

import "github.com/prometheus/client_golang/prometheus"

// metrics of a store. Labels never name a range.
type metrics struct {
	logBatches       prometheus.Counter
	proposals        prometheus.Counter
	applied          prometheus.Counter
	ignored          prometheus.Counter
	elections        prometheus.Counter
	leaseRounds      prometheus.Counter
	snapshotsSent    *prometheus.CounterVec
	snapshotsTaken   *prometheus.CounterVec
	snapshotsResumed prometheus.Counter
	resolved         *prometheus.CounterVec
	collected        prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "pontoon", Subsystem: "raft", Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "pontoon", Subsystem: "raft", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		logBatches:       counter("log_batches_total", "Synced batches of raft log appends."),
		proposals:        counter("proposals_total", "Commands proposed."),
		applied:          counter("entries_applied_total", "Log entries applied."),
		ignored:          counter("commands_ignored_total", "Commands that apply ignored as stale (P12)."),
		elections:        counter("leaderships_gained_total", "Leaderships begun here."),
		leaseRounds:      counter("quorum_rounds_total", "Heartbeat rounds sent because a leader lease did not do."),
		snapshotsSent:    vec("snapshots_sent_total", "Raft snapshots sent.", "result"),
		snapshotsTaken:   vec("snapshots_received_total", "Raft snapshots received.", "result"),
		snapshotsResumed: counter("snapshots_resumed_total", "Streams that went on with a raft snapshot that broke off."),
		resolved:         vec("txns_resolved_total", "Txns finished on behalf of a lost coordinator.", "outcome"),
		collected:        counter("replicas_removed_total", "Replicas removed from this node with their data."),
	}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "pontoon", Subsystem: "raft", Name: name, Help: help}, f)
	}
	reg.MustRegister(m.logBatches, m.proposals, m.applied, m.ignored, m.elections, m.leaseRounds,
		m.snapshotsSent, m.snapshotsTaken, m.snapshotsResumed, m.resolved, m.collected,
		gauge("replicas", "Replicas on this node.", func() float64 { return float64(len(s.all())) }),
		gauge("leaders", "Ranges led by this node.", func() float64 { return float64(s.closing.leading()) }),
	)
	return m
}
