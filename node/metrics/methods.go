package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
)

// kind of a method.
type kind int

const (
	other  kind = iota
	writes      // through a log
	txns        // through a log unless it only reads
)

// requestType is the name under which etcd times a method, and whether it
// writes. What is not here etcd does not time.
var requestType = map[string]struct {
	name string
	kind kind
}{
	"/etcdserverpb.KV/Range":                  {"Range", other},
	"/etcdserverpb.KV/Put":                    {"Put", writes},
	"/etcdserverpb.KV/DeleteRange":            {"DeleteRange", writes},
	"/etcdserverpb.KV/Txn":                    {"Txn", txns},
	"/etcdserverpb.KV/Compact":                {"Compaction", writes},
	"/etcdserverpb.Lease/LeaseGrant":          {"LeaseGrant", writes},
	"/etcdserverpb.Lease/LeaseRevoke":         {"LeaseRevoke", writes},
	"/etcdserverpb.Maintenance/Alarm":         {"Alarm", writes},
	"/etcdserverpb.Auth/Authenticate":         {"Authenticate", writes},
	"/etcdserverpb.Auth/AuthEnable":           {"AuthEnable", writes},
	"/etcdserverpb.Auth/AuthDisable":          {"AuthDisable", writes},
	"/etcdserverpb.Auth/AuthStatus":           {"AuthStatus", other},
	"/etcdserverpb.Auth/UserAdd":              {"AuthUserAdd", writes},
	"/etcdserverpb.Auth/UserDelete":           {"AuthUserDelete", writes},
	"/etcdserverpb.Auth/UserChangePassword":   {"AuthUserChangePassword", writes},
	"/etcdserverpb.Auth/UserGrantRole":        {"AuthUserGrantRole", writes},
	"/etcdserverpb.Auth/UserRevokeRole":       {"AuthUserRevokeRole", writes},
	"/etcdserverpb.Auth/UserGet":              {"AuthUserGet", other},
	"/etcdserverpb.Auth/UserList":             {"AuthUserList", other},
	"/etcdserverpb.Auth/RoleAdd":              {"AuthRoleAdd", writes},
	"/etcdserverpb.Auth/RoleDelete":           {"AuthRoleDelete", writes},
	"/etcdserverpb.Auth/RoleGet":              {"AuthRoleGet", other},
	"/etcdserverpb.Auth/RoleList":             {"AuthRoleList", other},
	"/etcdserverpb.Auth/RoleGrantPermission":  {"AuthRoleGrantPermission", writes},
	"/etcdserverpb.Auth/RoleRevokePermission": {"AuthRoleRevokePermission", writes},
}

// vectors are the families that methods take their counters from.
type vectors struct {
	started, received, sent, handled *prometheus.CounterVec
	seconds                          *prometheus.HistogramVec // nil: basic
	duration, ranges                 *prometheus.HistogramVec
	promoteFailures, streamFailures  *prometheus.CounterVec
	promoted                         prometheus.Counter
	defragmenting                    prometheus.Gauge
	defrag, snapshot, hash, hashRev  prometheus.Histogram
}

// NewRPC returns counters at zero, with histograms of each method if extensive. They
// count the bytes that the codec makes and takes.
func NewRPC(reg prometheus.Registerer, extensive bool, codec encoding.CodecV2) *RPC {
	v := newVectors(extensive)
	r := &RPC{
		vecs: v, versions: newVersions(), bytes: newCounted(codec),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "etcd_server_proposals_pending", Help: help("etcd_server_proposals_pending")}),
		failed:  counter("etcd_server_proposals_failed_total"),
		methods: map[string]*method{},
	}
	if reg != nil {
		reg.MustRegister(r.pending, r.failed, r.versions.vec, r.bytes.sent, r.bytes.received,
			v.started, v.received, v.sent, v.handled, v.duration, v.ranges, v.promoteFailures, v.promoted, v.streamFailures,
			v.defragmenting, v.defrag, v.snapshot, v.hash, v.hashRev)
		if v.seconds != nil {
			reg.MustRegister(v.seconds)
		}
	}
	return r
}

func newVectors(extensive bool) vectors {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	v := vectors{
		started:         counters("grpc_server_started_total", labels...),
		received:        counters("grpc_server_msg_received_total", labels...),
		sent:            counters("grpc_server_msg_sent_total", labels...),
		handled:         counters("grpc_server_handled_total", append(labels, "grpc_code")...),
		duration:        histograms("etcd_server_request_duration_seconds", prometheus.ExponentialBuckets(0.001, 2, 14), "type", "success"),
		ranges:          histograms("etcd_server_range_duration_seconds", prometheus.ExponentialBuckets(0.0001, 2, 20), "success"),
		promoteFailures: counters("etcd_server_learner_promote_failures", "Reason"),
		promoted:        counter("etcd_server_learner_promote_successes"),
		streamFailures:  counters("etcd_network_server_stream_failures_total", "Type", "API"),
		defragmenting:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "etcd_disk_defrag_inflight", Help: help("etcd_disk_defrag_inflight")}),
		defrag:          histogram("etcd_disk_backend_defrag_duration_seconds", prometheus.ExponentialBuckets(.1, 2, 13)),
		snapshot:        histogram("etcd_disk_backend_snapshot_duration_seconds", prometheus.ExponentialBuckets(.01, 2, 17)),
		hash:            histogram("etcd_mvcc_hash_duration_seconds", prometheus.ExponentialBuckets(.01, 2, 15)),
		hashRev:         histogram("etcd_mvcc_hash_rev_duration_seconds", prometheus.ExponentialBuckets(.01, 2, 15)),
	}
	if extensive {
		v.seconds = histograms("grpc_server_handling_seconds", prometheus.DefBuckets, labels...)
	}
	return v
}

// Know takes in the methods of a server, before it serves. Every series of
// grpc_server_* is there from then on, at zero, as in etcd.
func (r *RPC) Know(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, m := range info.Methods {
			full := "/" + service + "/" + m.Name
			r.methods[full] = r.vecs.method(full, callType(m))
		}
	}
}

func callType(m grpc.MethodInfo) string {
	switch {
	case m.IsClientStream && m.IsServerStream:
		return "bidi_stream"
	case m.IsClientStream:
		return "client_stream"
	case m.IsServerStream:
		return "server_stream"
	}
	return "unary"
}

func (v *vectors) method(full, call string) *method {
	service, name := split(full)
	m := &method{
		started: v.started.WithLabelValues(call, service, name), received: v.received.WithLabelValues(call, service, name),
		sent: v.sent.WithLabelValues(call, service, name),
	}
	for c := codes.OK; c <= lastCode; c++ {
		m.handled[c] = v.handled.WithLabelValues(call, service, name, c.String())
	}
	if v.seconds != nil {
		m.seconds = v.seconds.WithLabelValues(call, service, name)
	}
	if t, timed := requestType[full]; timed {
		m.kind = t.kind
		m.duration = outcomes{v.duration.WithLabelValues(t.name, "true"), v.duration.WithLabelValues(t.name, "false")}
	}
	switch full {
	case "/etcdserverpb.KV/Range":
		m.ranges = outcomes{v.ranges.WithLabelValues("true"), v.ranges.WithLabelValues("false")}
	case "/etcdserverpb.KV/Txn":
		m.readOnly = outcomes{v.duration.WithLabelValues("ReadonlyTxn", "true"), v.duration.WithLabelValues("ReadonlyTxn", "false")}
	case "/etcdserverpb.Maintenance/Defragment":
		m.inflight, m.took = v.defragmenting, v.defrag
	case "/etcdserverpb.Maintenance/Snapshot":
		m.took = v.snapshot
	case "/etcdserverpb.Maintenance/Hash":
		m.took = v.hash
	case "/etcdserverpb.Maintenance/HashKV":
		m.took = v.hashRev
	case "/etcdserverpb.Cluster/MemberPromote":
		m.succeeded = v.promoted
		for c := codes.OK + 1; c <= lastCode; c++ {
			m.refused[c] = lazy(v.promoteFailures, c.String())
		}
	case "/etcdserverpb.Watch/Watch":
		m.streamFail = lazy(v.streamFailures, "receive", "watch")
	case "/etcdserverpb.Lease/LeaseKeepAlive":
		m.streamFail = lazy(v.streamFailures, "receive", "lease-keepalive")
	}
	return m
}

// lazily is a counter whose series is there from its first count on, as etcd
// has it for what is rare. It is for nothing that is counted often.
type lazily struct {
	prometheus.Counter
	vec    *prometheus.CounterVec
	labels []string
}

func lazy(vec *prometheus.CounterVec, labels ...string) prometheus.Counter {
	return lazily{vec: vec, labels: labels}
}

// Inc implements prometheus.Counter.
func (l lazily) Inc() { l.vec.WithLabelValues(l.labels...).Inc() }
