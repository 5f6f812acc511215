package storage

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metrics of one engine: what pebble counts, read when scraped.
type metrics struct {
	stalls  prometheus.Counter
	commits prometheus.Histogram // without a sync: what was applied
	appends prometheus.Histogram // with a sync: the raft log
	dropped prometheus.Counter
	passes  prometheus.Histogram // of dropping, milliseconds as in etcd
	passed  prometheus.Gauge     // when the last one ended
	engine  *engineCollector
	flushes atomic.Int64
}

func newMetrics() *metrics {
	return &metrics{
		stalls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pontoon_storage_write_stalls_total", Help: "Times that writes had to wait for flushes or compactions.",
		}),
		commits: seconds("commit_seconds", "Time of committing one batch of applied entries, which is not synced."),
		appends: seconds("append_seconds", "Time of committing one batch of raft log appends, its sync included."),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pontoon_storage_versions_dropped_total", Help: "Versions below the compaction floor that were dropped.",
		}),
		passes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pontoon_storage_drop_pass_milliseconds", Help: "Time of one pass of dropping over a range, its pauses included.",
			Buckets: prometheus.ExponentialBuckets(100, 2, 14),
		}),
		passed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pontoon_storage_last_drop_timestamp_seconds", Help: "When a pass of dropping ended last, unix time; 0: none since the start.",
		}),
	}
}

// dropDone notes a pass of dropping.
func (m *metrics) dropDone(took time.Duration) {
	m.passes.Observe(float64(took.Milliseconds()))
	m.passed.SetToCurrentTime()
}

// seconds has the buckets of etcd's disk histograms.
func seconds(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pontoon_storage_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	})
}

// committed notes one batch.
func (m *metrics) committed(sync bool, took time.Duration) {
	if sync {
		m.appends.Observe(took.Seconds())
	} else {
		m.commits.Observe(took.Seconds())
	}
}

// listener turns pebble's events into log lines and counts.
func (e *Engine) listener() *pebble.EventListener {
	m, log, u := e.metrics, e.log, &e.usage
	return &pebble.EventListener{
		DataCorruption:  func(info pebble.DataCorruptionInfo) { e.tell(&DamageError{File: info.Path, Err: info.Details}) },
		BackgroundError: func(err error) { log.Error("engine background error", "err", e.valueError(err)) },
		WALCreated:      func(pebble.WALCreateInfo) { u.walCreated() },
		FlushBegin:      func(pebble.FlushInfo) { u.flushBegun() },
		FlushEnd: func(info pebble.FlushInfo) {
			m.flushes.Add(1)
			if info.Err == nil {
				u.flushEnded()
			}
		},
		CompactionEnd: func(pebble.CompactionInfo) { u.changed.Store(true) },
		TableIngested: func(pebble.TableIngestInfo) { u.changed.Store(true) },
		DiskSlow:      func(info pebble.DiskSlowInfo) { log.Warn("disk is slow", "info", info.String()) },
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			m.stalls.Inc()
			log.Warn("engine write stall", "reason", info.Reason)
		},
		WriteStallEnd: func() { log.Info("engine write stall over") },
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.stalls, m.commits, m.appends, m.dropped, m.passes, m.passed, m.engine}
}

func (m *metrics) register(r prometheus.Registerer, e *Engine) error {
	m.engine = &engineCollector{db: e.db}
	if r == nil {
		return nil
	}
	for _, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			return wrap("register metrics", err)
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.collectors() {
		r.Unregister(c)
	}
}

// engineCollector reads one set of figures per scrape.
type engineCollector struct{ db *pebble.DB }

type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*pebble.Metrics) float64
}

func gauge(name, help string, of func(*pebble.Metrics) float64) figure {
	return figure{prometheus.NewDesc("pontoon_storage_"+name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(*pebble.Metrics) float64) figure {
	return figure{prometheus.NewDesc("pontoon_storage_"+name, help, nil, nil), prometheus.CounterValue, of}
}

var figures = []figure{
	gauge("disk_bytes", "Disk space in use by the engine.", func(m *pebble.Metrics) float64 { return float64(m.DiskSpaceUsage()) }),
	gauge("snapshots", "Views of the engine that are held open by reads that take long.", func(m *pebble.Metrics) float64 { return float64(m.Snapshots.Count) }),
	gauge("read_amplification", "Tables a read may have to look into.", func(m *pebble.Metrics) float64 { return float64(m.ReadAmp()) }),
	gauge("l0_sublevels", "Overlapping runs of tables in the first level.", func(m *pebble.Metrics) float64 { return float64(m.Levels[0].Sublevels) }),
	gauge("compaction_debt_bytes", "Bytes that compactions have to move.", func(m *pebble.Metrics) float64 { return float64(m.Compact.EstimatedDebt) }),
	gauge("memtable_bytes", "Memory of the memtables.", func(m *pebble.Metrics) float64 { return float64(m.MemTable.Size) }),
	gauge("cache_bytes", "Memory of the block cache.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Size) }),
	counter("cache_hits_total", "Blocks found in the cache.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Hits) }),
	counter("cache_misses_total", "Blocks read from disk.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Misses) }),
	counter("wal_bytes_total", "Bytes written to the write-ahead log.", func(m *pebble.Metrics) float64 { return float64(m.WAL.BytesWritten) }),
	counter("compactions_total", "Compactions done.", func(m *pebble.Metrics) float64 { return float64(m.Compact.Count) }),
	counter("flushes_total", "Memtable flushes done.", func(m *pebble.Metrics) float64 { return float64(m.Flush.Count) }),
}

var fsyncDesc = prometheus.NewDesc("pontoon_storage_wal_fsync_seconds", "Time of one sync of the write-ahead log.", nil, nil)

// fsync turns pebble's nameless histogram of nanoseconds into ours.
func fsync(h prometheus.Histogram) (prometheus.Metric, error) {
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		return nil, err
	}
	buckets := make(map[float64]uint64)
	for _, b := range m.GetHistogram().GetBucket() {
		buckets[b.GetUpperBound()/1e9] = b.GetCumulativeCount()
	}
	return prometheus.NewConstHistogram(fsyncDesc, m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum()/1e9, buckets)
}

// Describe implements prometheus.Collector.
func (c *engineCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range figures {
		ch <- f.desc
	}
	ch <- fsyncDesc
}

// Collect implements prometheus.Collector.
func (c *engineCollector) Collect(ch chan<- prometheus.Metric) {
	m := c.db.Metrics()
	for _, f := range figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(m))
	}
	if h, err := fsync(m.LogWriter.FsyncLatency); err == nil {
		ch <- h
	}
}
