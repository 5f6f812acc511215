package metrics

import (
	"runtime"
	"strconv"

	dto "github.com/prometheus/client_model/go"
)

// serverRows are etcd_server_* and etcd_cluster_*. Where etcd means its one raft
// group, the leader is that of the root range, and counts are those of all
// replicas of the node.
var serverRows = []Row{
	{Name: "etcd_cluster_version", Type: Gauge, State: Real, Help: "Which version is running. 1 for 'cluster_version' label with current cluster version",
		Note: "etcd's version whose API is served", read: tag("cluster_version", func(f Facts) string { return f.Cluster })},
	{Name: "etcd_server_apply_duration_seconds", Type: Histogram, State: Real, Help: "Time of applying a batch of committed entries.",
		Note: "entries hold effects of several requests, so op is Batch", read: ours("pontoon_raft_apply_seconds", nil, "version", "v3", "op", "Batch", "success", "true")},
	{Name: "etcd_server_client_requests_total", Type: Counter, State: Real, Help: "The total number of client requests per client version.",
		Note: "at most 32 versions are told apart, the rest is \"other\""},
	{Name: "etcd_server_feature_enabled", Type: Gauge, State: Real, Help: "Whether or not a feature is enabled. 1 is enabled, 0 is not.",
		Note: "etcd's feature gates; 1 where what the gate brings is there", read: features},
	{Name: "etcd_server_go_version", Type: Gauge, State: Real, Help: "Which Go version server is running with. 1 for 'server_go_version' label with current version.",
		read: tag("server_go_version", func(Facts) string { return runtime.Version() })},
	{Name: "etcd_server_has_leader", Type: Gauge, State: Real, Help: "Whether or not a leader exists. 1 is existence, 0 is not.",
		Note: "of the root range, without which the cluster stands", read: flag(func(f Facts) bool { return f.Leader != 0 })},
	{Name: "etcd_server_health_failures", Type: Counter, State: Real, Help: "The total number of failed health checks"},
	{Name: "etcd_server_health_success", Type: Counter, State: Real, Help: "The total number of successful health checks"},
	{Name: "etcd_server_healthcheck", Type: Gauge, State: Real, Help: "The result of each kind of healthcheck.", Note: "there once a probe was asked for, as in etcd"},
	{Name: "etcd_server_healthchecks_total", Type: Counter, State: Real, Help: "The total number of each kind of healthcheck.", Note: "there once a probe was asked for, as in etcd"},
	{Name: "etcd_server_heartbeat_send_failures_total", Type: Counter, State: Real, Help: "The total number of leader heartbeat send failures (likely overloaded from slow disk).",
		Note: "ticks that came more than two heartbeat intervals after the one before while the node led a range", read: sum("pontoon_raft_late_ticks_total")},
	{Name: "etcd_server_id", Type: Gauge, State: Real, Help: "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
		read: tag("server_id", func(f Facts) string { return hex(f.ID) })},
	{Name: "etcd_server_is_leader", Type: Gauge, State: Real, Help: "Whether or not this member is a leader. 1 if is, 0 otherwise.",
		Note: "of the root range", read: flag(func(f Facts) bool { return f.ID == f.Leader })},
	{Name: "etcd_server_is_learner", Type: Gauge, State: Real, Help: "Whether or not this member is a learner. 1 if is, 0 otherwise.",
		read: flag(func(f Facts) bool { return f.Learner })},
	{Name: "etcd_server_leader_changes_seen_total", Type: Counter, State: Real, Help: "The number of leader changes seen.",
		Note: "of the root range; looked at once per heartbeat interval", read: fact(func(f Facts) float64 { return float64(f.LeaderChanges) })},
	{Name: "etcd_server_learner_promote_failures", Type: Counter, State: Real, Help: "The total number of failed learner promotions (likely learner not ready) while this member is leader.",
		Note: "refused by the member that was asked; Reason is the gRPC code"},
	{Name: "etcd_server_learner_promote_successes", Type: Counter, State: Real, Help: "The total number of successful learner promotions while this member is leader.",
		Note: "counted by the member that was asked"},
	{Name: "etcd_server_proposals_applied_total", Type: Gauge, State: Real, Help: "The total number of consensus proposals applied.",
		Note: "entries of all replicas of the node since its start; etcd shows its log's index", read: sum("pontoon_raft_entries_applied_total")},
	{Name: "etcd_server_proposals_committed_total", Type: Gauge, State: Real, Help: "The total number of consensus proposals committed.",
		Note: "entries of all replicas of the node since its start; etcd shows its log's index", read: sum("pontoon_raft_entries_committed_total")},
	{Name: "etcd_server_proposals_failed_total", Type: Counter, State: Real, Help: "The total number of failed proposals seen.",
		Note: "writes that clients asked this member for and that ended without an answer of the cluster"},
	{Name: "etcd_server_proposals_pending", Type: Gauge, State: Real, Help: "The current number of pending proposals to commit.",
		Note: "writes that clients asked this member for and that are not answered"},
	{Name: "etcd_server_quota_backend_bytes", Type: Gauge, State: Real, Help: "Current backend storage quota size in bytes.",
		read: fact(func(f Facts) float64 { return float64(f.QuotaBytes) })},
	{Name: "etcd_server_range_duration_seconds", Type: Histogram, State: Real, Help: "The latency distributions of txn.Range",
		Note: "the whole request, read revision and other nodes included"},
	{Name: "etcd_server_read_indexes_failed_total", Type: Counter, State: Real, Help: "The total number of failed read indexes seen.",
		Note: "callers of the sequencer that got no answer in time", read: sum("pontoon_sequencer_client_failures_total")},
	{Name: "etcd_server_request_duration_seconds", Type: Histogram, State: Real, Help: "Response latency distribution in seconds for each type."},
	{Name: "etcd_server_slow_apply_total", Type: Counter, State: Real, Help: "The total number of slow apply requests (likely overloaded from slow disk).",
		Note: "batches of entries, over 100 ms", read: sum("pontoon_raft_slow_applies_total")},
	{Name: "etcd_server_slow_read_indexes_total", Type: Counter, State: Real, Help: "The total number of pending read indexes not in sync with leader's or timed out read index requests.",
		Note: "read revisions that took longer than 500 ms", read: sum("pontoon_sequencer_client_slow_reads_total")},
	{Name: "etcd_server_snapshot_apply_in_progress_total", Type: Gauge, State: Zero, Help: "1 if the server is applying the incoming snapshot. 0 if none.",
		Note: "a raft snapshot is taken over in one step of the engine; see pontoon_raft_snapshots_received_total", read: zero},
	{Name: "etcd_server_version", Type: Gauge, State: Real, Help: "Which version is running. 1 for 'server_version' label with current version.",
		Note: "etcd's version whose API is served; pontoon_build_info has Pontoon's", read: tag("server_version", func(f Facts) string { return f.ServerVersion })},
}

// alarms are those that are raised, as far as this node knows.
func alarms(s *scrape) (list []*dto.Metric) {
	for i := range s.facts.Alarms {
		a := &s.facts.Alarms[i]
		list = append(list, &dto.Metric{
			Label: labels("server_id", hex(a.Member), "alarm_type", a.Kind), Untyped: &dto.Untyped{Value: new(1.0)},
		})
	}
	return list
}

func hex(id uint64) string { return strconv.FormatUint(id, 16) }

// gates are etcd's feature gates and whether Pontoon does what they bring.
var gates = []struct {
	name, stage string
	on          func(*Facts) bool
}{
	{"AllAlpha", "ALPHA", never},
	{"AllBeta", "BETA", never},
	{"CompactHashCheck", "ALPHA", never},
	{"FastLeaseKeepAlive", "BETA", always},
	{"InitialCorruptCheck", "ALPHA", never},
	{"LeaseCheckpoint", "ALPHA", checkpoints},
	{"LeaseCheckpointPersist", "ALPHA", checkpoints}, // what is kept is always on disk
	{"PriorityRequest", "ALPHA", never},
	{"SetMemberLocalAddr", "ALPHA", never},
	{"StopGRPCServiceOnDefrag", "ALPHA", never},
	{"TxnModeWriteWithSharedBuffer", "BETA", always},
}

func never(*Facts) bool         { return false }
func always(*Facts) bool        { return true }
func checkpoints(f *Facts) bool { return f.LeaseCheckpoint }

func features(s *scrape) (list []*dto.Metric) {
	for i := range gates {
		g := &gates[i]
		v := 0.0
		if g.on(&s.facts) {
			v = 1
		}
		list = append(list, &dto.Metric{
			Label: labels("name", g.name, "stage", g.stage), Untyped: &dto.Untyped{Value: &v},
		})
	}
	return list
}
