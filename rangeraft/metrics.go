package rangeraft

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
)

// metrics of a store. Labels never name a range.
type metrics struct {
	logBatches       prometheus.Counter
	proposals        prometheus.Counter
	committed        prometheus.Counter
	applied          prometheus.Counter
	applySeconds     prometheus.Histogram
	slowApplies      prometheus.Counter
	lateTicks        prometheus.Counter
	ignored          prometheus.Counter
	refused          prometheus.Counter
	elections        prometheus.Counter
	leaseRounds      prometheus.Counter
	snapshotsSent    *prometheus.CounterVec
	snapshotsTaken   *prometheus.CounterVec
	snapshotsResumed prometheus.Counter
	resolved         *prometheus.CounterVec
	collected        prometheus.Counter
	sendFailures     *prometheus.CounterVec
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
		logBatches:  counter("log_batches_total", "Synced batches of raft log appends."),
		proposals:   counter("proposals_total", "Commands proposed."),
		committed:   counter("entries_committed_total", "Log entries that raft gave out as committed, to replicas of this node."),
		applied:     counter("entries_applied_total", "Log entries applied."),
		slowApplies: counter("slow_applies_total", "Batches of entries that took longer than 100 ms to apply."),
		lateTicks:   counter("late_ticks_total", "Ticks of raft more than two intervals after the one before, while this node led a range."),
		applySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "pontoon", Subsystem: "raft", Name: "apply_seconds", Help: "Time of applying one batch of committed entries.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 20),
		}),
		ignored:          counter("commands_ignored_total", "Commands that apply ignored as stale (P12)."),
		refused:          counter("writes_refused_total", "Clients' writes that a leader refused because too many were under way."),
		elections:        counter("leaderships_gained_total", "Leaderships begun here."),
		leaseRounds:      counter("quorum_rounds_total", "Heartbeat rounds sent because a leader lease did not do."),
		snapshotsSent:    vec("snapshots_sent_total", "Raft snapshots sent.", "result"),
		snapshotsTaken:   vec("snapshots_received_total", "Raft snapshots received.", "result"),
		snapshotsResumed: counter("snapshots_resumed_total", "Streams that went on with a raft snapshot that broke off."),
		resolved:         vec("txns_resolved_total", "Txns finished on behalf of a lost coordinator.", "outcome"),
		collected:        counter("replicas_removed_total", "Replicas removed from this node with their data."),
	}
	m.sendFailures = vec("send_failures_total", "Raft messages to a node that were dropped, and streams of them that broke or did not open.", "to")
	if reg == nil {
		return m
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "pontoon", Subsystem: "raft", Name: name, Help: help}, f)
	}
	reg.MustRegister(m.logBatches, m.proposals, m.committed, m.applied, m.applySeconds, m.slowApplies, m.lateTicks, m.ignored, m.refused, m.elections, m.leaseRounds,
		m.snapshotsSent, m.snapshotsTaken, m.snapshotsResumed, m.resolved, m.collected, m.sendFailures,
		gauge("replicas", "Replicas on this node.", func() float64 { return float64(len(s.all())) }),
		gauge("live_keys", "Live user keys in the replicas of this node.", func() float64 { return float64(s.liveKeys()) }),
		gauge("leaders", "Ranges led by this node.", func() float64 { return float64(s.closing.leading()) }),
	)
	return m
}

// slowApply is what etcd calls slow.
const slowApply = 100 * time.Millisecond

func (m *metrics) tookToApply(d time.Duration) {
	m.applySeconds.Observe(d.Seconds())
	if d > slowApply {
		m.slowApplies.Inc()
	}
}

// ticked notes a tick that came so late that a heartbeat went out late, as etcd
// counts it.
func (m *metrics) ticked(since, interval time.Duration, leading func() int) {
	if since > 2*interval && leading() > 0 {
		m.lateTicks.Inc()
	}
}

func (m *metrics) sendFailed(to proto.NodeID) {
	m.sendFailures.WithLabelValues(strconv.FormatUint(uint64(to), 16)).Inc()
}

// liveKeys sums up what is known; a range that counts anew adds nothing.
func (s *Store) liveKeys() (n int64) {
	for _, r := range s.all() {
		n += max(r.counts.now(), 0)
	}
	return n
}
