package metrics

// boltOnly is why what bbolt does inside a commit is not counted.
const boltOnly = "the engine is a log-structured tree: it has no pages to rebalance, spill or write at a commit"

// noSnapFiles is why etcd's snapshot files are not timed.
const noSnapFiles = "there are no snapshot files: replicas apply to the engine, and raft snapshots stream into it"

// diskRows are etcd_disk_* and etcd_snap_*.
var diskRows = []Row{
	{Name: "etcd_disk_backend_commit_duration_seconds", Type: Histogram, State: Real, Help: "The latency distributions of commit called by backend.",
		Note: "a batch of applied entries into the engine", read: ours("pontoon_storage_commit_seconds", nil)},
	{Name: "etcd_disk_backend_defrag_duration_seconds", Type: Histogram, State: Real, Help: "The latency distribution of backend defragmentation.",
		Note: "of Maintenance.Defragment"},
	{Name: "etcd_disk_backend_snapshot_duration_seconds", Type: Histogram, State: Real, Help: "The latency distribution of backend snapshots.",
		Note: "of Maintenance.Snapshot"},
	{Name: "etcd_disk_defrag_inflight", Type: Gauge, State: Real, Help: "Whether or not defrag is active on the member. 1 means active, 0 means not."},
	{Name: "etcd_disk_wal_fsync_duration_seconds", Type: Histogram, State: Real, Help: "The latency distributions of fsync called by WAL.",
		Note: "of the engine's log, which holds all raft logs; the buckets are the engine's", read: ours("pontoon_storage_wal_fsync_seconds", nil)},
	{Name: "etcd_disk_wal_write_bytes_total", Type: Gauge, State: Real, Help: "Total number of bytes written in WAL.",
		Note: "of the engine's log", read: sum("pontoon_storage_wal_bytes_total")},
	{Name: "etcd_disk_wal_write_duration_seconds", Type: Histogram, State: Real, Help: "The latency distributions of write called by WAL.",
		Note: "a batch of raft log appends of all replicas, its sync included", read: ours("pontoon_storage_append_seconds", nil)},
	{Name: "etcd_snap_db_fsync_duration_seconds", Type: Histogram, State: Zero, Help: "The latency distributions of fsyncing .snap.db file", Note: noSnapFiles, read: empty},
	{Name: "etcd_snap_db_save_total_duration_seconds", Type: Histogram, State: Zero, Help: "The total latency distributions of v3 snapshot save", Note: noSnapFiles, read: empty},
	{Name: "etcd_snap_fsync_duration_seconds", Type: Histogram, State: Zero, Help: "The latency distributions of fsync called by snap.", Note: noSnapFiles, read: empty},
}

// seen says whose operations the counts of mvccRows are.
const seen = "of clients of this member; in etcd every member counts those of all"

// mvccRows are etcd_mvcc_*.
var mvccRows = []Row{
	{Name: "etcd_mvcc_db_open_read_transactions", Type: Gauge, State: Real, Help: "The number of currently open read transactions",
		Note: "engine snapshots held by long reads", read: sum("pontoon_storage_snapshots")},
	{Name: "etcd_mvcc_db_total_size_in_bytes", Type: Gauge, State: Real, Help: "Total size of the underlying database physically allocated in bytes.",
		Note: "the engine of this node, its log included", read: fact(func(f Facts) float64 { return float64(f.SizeBytes) })},
	{Name: "etcd_mvcc_db_total_size_in_use_in_bytes", Type: Gauge, State: Real, Help: "Total size of the underlying database logically in use in bytes.",
		Note: "as Maintenance.Status says it", read: fact(func(f Facts) float64 { return float64(f.SizeInUseBytes) })},
	{Name: "etcd_mvcc_delete_total", Type: Counter, State: Real, Help: "Total number of deletes seen by this member.", Note: "delete operations " + seen + "; keys of expired leases are not in it"},
	{Name: "etcd_mvcc_hash_duration_seconds", Type: Histogram, State: Real, Help: "The latency distribution of storage hash operation.", Note: "of Maintenance.Hash, over all ranges"},
	{Name: "etcd_mvcc_hash_rev_duration_seconds", Type: Histogram, State: Real, Help: "The latency distribution of storage hash by revision operation.", Note: "of Maintenance.HashKV, over all ranges"},
	{Name: "etcd_mvcc_put_total", Type: Counter, State: Real, Help: "Total number of puts seen by this member.", Note: seen},
	{Name: "etcd_mvcc_range_total", Type: Counter, State: Real, Help: "Total number of ranges seen by this member.", Note: seen + "; reads for compares and previous values are not in it"},
	{Name: "etcd_mvcc_txn_total", Type: Counter, State: Real, Help: "Total number of txns seen by this member.", Note: "Txn requests " + seen + "; etcd counts what does more than one operation"},
}

// debuggingRows are etcd_debugging_*.
var debuggingRows = []Row{
	{Name: "etcd_debugging_auth_revision", Type: Gauge, State: Real, Help: "The current revision of auth store.",
		read: fact(func(f Facts) float64 { return float64(f.AuthRevision) })},
	{Name: "etcd_debugging_disk_backend_commit_rebalance_duration_seconds", Type: Histogram, State: Zero, Help: "The latency distributions of commit.rebalance called by bboltdb backend.", Note: boltOnly, read: empty},
	{Name: "etcd_debugging_disk_backend_commit_spill_duration_seconds", Type: Histogram, State: Zero, Help: "The latency distributions of commit.spill called by bboltdb backend.", Note: boltOnly, read: empty},
	{Name: "etcd_debugging_disk_backend_commit_write_duration_seconds", Type: Histogram, State: Zero, Help: "The latency distributions of commit.write called by bboltdb backend.", Note: boltOnly, read: empty},
	{Name: "etcd_debugging_lease_granted_total", Type: Counter, State: Real, Help: "The total number of granted leases.", Note: "through this member"},
	{Name: "etcd_debugging_lease_renewed_total", Type: Counter, State: Real, Help: "The number of renewed leases seen by the leader.",
		Note: "whose home this node leads", read: sum("pontoon_lessor_renewed_total")},
	{Name: "etcd_debugging_lease_revoked_total", Type: Counter, State: Real, Help: "The total number of revoked leases.", Note: "through this member; expired ones are in lease_expired_total"},
	{Name: "etcd_debugging_lease_ttl_total", Type: Histogram, State: Real, Help: "Bucketed histogram of lease TTLs.", Note: "of leases granted through this member"},
	{Name: "etcd_debugging_mvcc_compact_revision", Type: Gauge, State: Real, Help: "The revision of the last compaction in store.",
		read: fact(func(f Facts) float64 { return float64(f.Compacted) })},
	{Name: "etcd_debugging_mvcc_current_revision", Type: Gauge, State: Real, Help: "The current revision of store.",
		Note: "the highest one that this node knows of", read: fact(func(f Facts) float64 { return float64(f.Revision) })},
	{Name: "etcd_debugging_mvcc_db_compaction_keys_total", Type: Counter, State: Real, Help: "Total number of db keys compacted.",
		Note: "versions dropped from this node's engine", read: sum("pontoon_storage_versions_dropped_total")},
	{Name: "etcd_debugging_mvcc_db_compaction_last", Type: Gauge, State: Real, Help: "The unix time of the last db compaction. Resets to 0 on start.",
		Note: "when a pass over a range ended last", read: sum("pontoon_storage_last_drop_timestamp_seconds")},
	{Name: "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", Type: Histogram, State: Zero, Help: "Bucketed histogram of db compaction pause duration.",
		Note: "dropping old versions pauses nobody", read: empty},
	{Name: "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", Type: Histogram, State: Real, Help: "Bucketed histogram of db compaction total duration.",
		Note: "of a pass over one range, its pauses included", read: ours("pontoon_storage_drop_pass_milliseconds", nil)},
	{Name: "etcd_debugging_mvcc_events_total", Type: Counter, State: Real, Help: "Total number of events sent by this member.", read: sum("pontoon_watch_events_sent_total")},
	{Name: "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", Type: Histogram, State: Zero, Help: "Bucketed histogram of index compaction pause duration.",
		Note: "there is no index in memory", read: empty},
	{Name: "etcd_debugging_mvcc_keys_total", Type: Gauge, State: Real, Help: "Total number of keys.",
		Note: "live keys in the replicas of this node; etcd's also has deleted ones that are not compacted", read: sum("pontoon_raft_live_keys")},
	{Name: "etcd_debugging_mvcc_pending_events_total", Type: Gauge, State: Zero, Help: "Total number of pending events to be sent.",
		Note: "what waits is bounded and counted in bytes per stream, not in events", read: zero},
	{Name: "etcd_debugging_mvcc_slow_watcher_total", Type: Gauge, State: Real, Help: "Total number of unsynced slow watchers.", read: sum("pontoon_watch_watchers_behind")},
	{Name: "etcd_debugging_mvcc_total_put_size_in_bytes", Type: Gauge, State: Real, Help: "The total size of put kv pairs seen by this member.", Note: seen},
	{Name: "etcd_debugging_mvcc_watch_stream_total", Type: Gauge, State: Real, Help: "Total number of watch streams.", read: sum("pontoon_watch_streams")},
	{Name: "etcd_debugging_mvcc_watcher_total", Type: Gauge, State: Real, Help: "Total number of watchers.", read: sum("pontoon_watch_watchers")},
	{Name: "etcd_debugging_server_alarms", Type: Gauge, State: Real, Help: "Alarms for every member in cluster.",
		Note: "there while an alarm is raised", read: alarms},
	{Name: "etcd_debugging_server_lease_expired_total", Type: Counter, State: Real, Help: "The total number of expired leases.", read: sum("pontoon_lessor_expired_total")},
	{Name: "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds", Type: Histogram, State: Zero, Help: "The total duration in seconds of running through the send loop control stream response.", Note: noLoop, read: empty},
	{Name: "etcd_debugging_server_watch_send_loop_progress_duration_seconds", Type: Histogram, State: Zero, Help: "The total duration in seconds of running through the progress loop control stream response.", Note: noLoop, read: empty},
	{Name: "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds", Type: Histogram, State: Zero, Help: "The average duration in seconds of running through the send loop watch stream response, per event.", Note: noLoop, read: empty},
	{Name: "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds", Type: Histogram, State: Zero, Help: "The total duration in seconds of running through the send loop watch stream response all events.", Note: noLoop, read: empty},
	{Name: "etcd_debugging_snap_save_marshalling_duration_seconds", Type: Histogram, State: Zero, Help: "The marshalling cost distributions of save called by snapshot.", Note: noSnapFiles, read: empty},
	{Name: "etcd_debugging_snap_save_total_duration_seconds", Type: Histogram, State: Zero, Help: "The total latency distributions of save called by snapshot.", Note: noSnapFiles, read: empty},
	{Name: "etcd_debugging_store_expires_total", Type: Counter, State: Zero, Help: "Total number of expired keys.", Note: noV2, read: zero},
	{Name: "etcd_debugging_store_watch_requests_total", Type: Counter, State: Zero, Help: "Total number of incoming watch requests (new or reestablished).", Note: noV2, read: zero},
	{Name: "etcd_debugging_store_watchers", Type: Gauge, State: Zero, Help: "Count of currently active watchers.", Note: noV2, read: zero},
	{Name: "etcd_debugging_store_reads_failed_total", Type: Counter, State: Absent, Note: noV2},
	{Name: "etcd_debugging_store_reads_total", Type: Counter, State: Absent, Note: noV2},
	{Name: "etcd_debugging_store_writes_failed_total", Type: Counter, State: Absent, Note: noV2},
	{Name: "etcd_debugging_store_writes_total", Type: Counter, State: Absent, Note: noV2},
}

const (
	noLoop = "a stream's sender works without etcd's loop; see pontoon_watch_*"
	noV2   = "of the v2 store, which is not there"
)
