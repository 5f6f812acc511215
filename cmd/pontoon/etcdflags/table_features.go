package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/node/config"
)

// Why more than one row has no effect.
const (
	otherCheck = "replicas are compared as they are: `--corrupt-check-time`, `pontoon range checksum`"
	byEngine   = "history is dropped while the engine compacts, which is paced by itself"
)

var features = []Flag{
	{
		Name: "corrupt-check-time", Usage: "Time between two comparisons of the replicas of all ranges; 0: none.",
		Make: duration(field(func(c *config.Config) *time.Duration { return &c.CorruptCheckTime })),
		Why:  "range by range, each by its leader, with rests in between",
	},
	{Name: "compact-hash-check-time", Class: Ignored, Why: otherCheck, Usage: "Time between two comparisons of compacted revisions.", Make: duration(func(s *Settings) *time.Duration { return &s.compactHashCheck })},
	{Name: "compaction-batch-limit", Class: Ignored, Why: byEngine, Usage: "Revisions deleted at a time.", Make: unused(number[int], 0)},
	{Name: "watch-progress-notify-interval", Usage: "Time between two notifications of an idle watch.", Make: duration(field(func(c *config.Config) *time.Duration { return &c.WatchProgressNotifyInterval }))},
	{Name: "warning-apply-duration", Class: Ignored, Why: "--warning-unary-request-duration logs slow requests", Usage: "Time after which applying is logged as slow.", Make: unused(duration, 100*time.Millisecond)},
	{Name: "bootstrap-defrag-threshold-megabytes", Class: Ignored, Why: "the engine gives space back by itself", Usage: "Defragment at the start if it frees as much.", Make: unused(number[uint], 0)},
	{Name: "compaction-sleep-interval", Class: Ignored, Why: byEngine, Usage: "Pause between two batches of a compaction.", Make: unused(duration, 0)},
	{Name: "downgrade-check-time", Class: Ignored, Why: "there is no downgrade to check", Usage: "Time between two checks of a downgrade.", Make: unused(duration, 5*time.Second)},
	{Name: "snapshot-catchup-entries", Class: Ignored, Why: noSnapshotFiles, Usage: "Log entries kept for slow followers.", Make: unused(number[uint64], 5000)},
}

var unsafeFlags = []Flag{
	{
		Name: "force-new-cluster", Class: Refused, Usage: "Make a cluster of this member alone.", Make: unused(boolean, false),
		Why: "one member holds a part of the replicas, not the whole store; start anew from a snapshot with `pontoon restore`",
	},
	{Name: "unsafe-no-fsync", Class: Ignored, Why: "what is acknowledged is always on disk", Usage: "Do not sync files.", Make: unused(boolean, false)},
}

// own are the flags that etcd has not.
var own = []Flag{
	{Name: "join", Usage: "Peer addresses (HOST:PORT) of members of a running cluster that this node is to belong to.", Make: list(field(func(c *config.Config) *[]string { return &c.Join }))},
	{Name: "locality", Usage: "Where this node is, wide to narrow: region=..,zone=..; replicas are spread over it.", Make: text(field(func(c *config.Config) *string { return &c.Locality }))},
	{Name: "leader-lease", Usage: "Serve under leader leases; false confirms every read and grant by a quorum.", Make: boolean(field(func(c *config.Config) *bool { return &c.LeaderLease }))},
	{Name: "cache-bytes", Usage: "Memory for the engine's block cache, bytes.", Make: number(field(func(c *config.Config) *int64 { return &c.CacheBytes }))},
	{Name: "max-requests-in-flight", Usage: "Most requests of clients under way at this node; more are refused as too many.", Make: number(field(func(c *config.Config) *uint { return &c.MaxRequestsInFlight }))},
	{Name: "tracing-endpoint", Usage: "OTLP gRPC collector, HOST:PORT, of all traces; empty: none.", Make: text(field(func(c *config.Config) *string { return &c.Tracing.Endpoint }))},
}
