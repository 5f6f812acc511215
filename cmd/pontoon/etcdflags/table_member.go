package etcdflags

import (
	"time"

	"github.com/pontoon-kv/pontoon/node/config"
)

// Why more than one row has no effect.
const (
	noSnapshotFiles = "a range's raft log is cut by itself, and there are no snapshot files"
	noBolt          = "the storage engine is not bbolt"
)

var (
	millis  = inUnits(time.Millisecond)
	seconds = inUnits(time.Second)
	needURL = urls()
	anyURLs = urls("")
)

var member = []Flag{
	{Name: "name", Usage: "Human-readable name of this member.", Make: text(field(func(c *config.Config) *string { return &c.Name }))},
	{
		Name: "data-dir", Usage: "Path of the data directory; NAME.etcd if not set.",
		Why:  "a directory of etcd is refused; `pontoon restore` reads a snapshot of it",
		Make: text(field(func(c *config.Config) *string { return &c.DataDir })),
	},
	{
		Name: "wal-dir", Class: Refused, Usage: "Path of a directory for the write-ahead log alone.", Make: unused(text, ""),
		Why: "the logs of all ranges share one directory with the data; put --data-dir on the fast disk",
	},
	{Name: "snapshot-count", Class: Ignored, Why: noSnapshotFiles, Usage: "Transactions between two snapshots of the raft log.", Make: unused(number[uint64], 10000)},
	{Name: "heartbeat-interval", Usage: "Time of a raft tick, milliseconds.", Make: millis(field(func(c *config.Config) *time.Duration { return &c.HeartbeatInterval }))},
	{Name: "election-timeout", Usage: "Time without a leader before an election, milliseconds.", Make: millis(field(func(c *config.Config) *time.Duration { return &c.ElectionTimeout }))},
	{
		Name: "initial-election-tick-advance", Class: Ignored, Usage: "Shorten the first election.", Make: unused(boolean, true),
		Why: "the first leaders of a new cluster need not wait for an election timeout",
	},
	{Name: "listen-peer-urls", Usage: "URLs to listen on for other members.", Make: needURL(field(func(c *config.Config) *[]string { return &c.ListenPeerURLs }))},
	{Name: "listen-client-urls", Usage: "URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls is set.", Make: needURL(field(func(c *config.Config) *[]string { return &c.ListenClientURLs }))},
	{Name: "listen-client-http-urls", Usage: "URLs to listen on for HTTP alone; --listen-client-urls then serve gRPC alone.", Make: anyURLs(field(func(c *config.Config) *[]string { return &c.ListenClientHTTPURLs }))},
	{Name: "max-snapshots", Class: Ignored, Why: noSnapshotFiles, Usage: "Snapshot files to keep.", Make: unused(number[uint], 5)},
	{Name: "max-wals", Class: Ignored, Why: "the engine deletes log files that nothing needs", Usage: "Log files to keep.", Make: unused(number[uint], 5)},
	{Name: "memory-mlock", Class: Ignored, Why: "the engine maps no files; --cache-bytes bounds what it caches", Usage: "Keep the pages of the database in memory.", Make: unused(boolean, false)},
	{Name: "quota-backend-bytes", Usage: "Size of users' data at which the store refuses more, bytes; 0: what the disk has room for, negative: none.", Why: "0 stands for what the disk has room for, not for 2 GiB", Make: number(field(func(c *config.Config) *int64 { return &c.QuotaBackendBytes }))},
	{Name: "backend-bbolt-freelist-type", Class: Ignored, Why: noBolt, Usage: "Kind of freelist of bbolt.", Make: unused(text, "")},
	{Name: "backend-batch-interval", Class: Ignored, Why: noBolt, Usage: "Most time before a commit of bbolt.", Make: unused(duration, 0)},
	{Name: "backend-batch-limit", Class: Ignored, Why: noBolt, Usage: "Most operations before a commit of bbolt.", Make: unused(number[int], 0)},
	{Name: "max-txn-ops", Usage: "Largest number of operations in a transaction.", Make: number(field(func(c *config.Config) *uint { return &c.MaxTxnOps }))},
	{Name: "max-request-bytes", Usage: "Largest request of a client, bytes.", Make: number(field(func(c *config.Config) *uint { return &c.MaxRequestBytes }))},
	{Name: "max-concurrent-streams", Usage: "Most streams that a client may have open at a time.", Make: number(field(func(c *config.Config) *uint32 { return &c.MaxConcurrentStreams }))},
	{Name: "grpc-keepalive-min-time", Usage: "Least time between two pings of a client.", Make: duration(field(func(c *config.Config) *time.Duration { return &c.Keepalive.MinTime }))},
	{Name: "grpc-keepalive-interval", Usage: "Time between two pings by the server; 0: none.", Make: duration(field(func(c *config.Config) *time.Duration { return &c.Keepalive.Interval }))},
	{Name: "grpc-keepalive-timeout", Usage: "Time to wait for the answer to a ping.", Make: duration(field(func(c *config.Config) *time.Duration { return &c.Keepalive.Timeout }))},
	{Name: "socket-reuse-port", Key: "socket-options.reuse-port", Usage: "Set SO_REUSEPORT on listeners.", Make: boolean(field(func(c *config.Config) *bool { return &c.ReusePort }))},
	{Name: "socket-reuse-address", Key: "socket-options.reuse-address", Usage: "Set SO_REUSEADDR on listeners.", Make: boolean(field(func(c *config.Config) *bool { return &c.ReuseAddress }))},
	{Name: "enable-grpc-gateway", Usage: "Serve the JSON gateway under /v3/.", Make: boolean(field(func(c *config.Config) *bool { return &c.EnableGateway }))},
	{Name: "raft-read-timeout", NoKey: true, Class: Ignored, Why: noRaftHTTP, Usage: "Read timeout between members.", Make: unused(duration, 5*time.Second)},
	{Name: "raft-write-timeout", NoKey: true, Class: Ignored, Why: noRaftHTTP, Usage: "Write timeout between members.", Make: unused(duration, 5*time.Second)},
	{
		Name: "feature-gates", Usage: "NAME=true|false,...", Make: featureGates,
		Why: "LeaseCheckpoint is obeyed; each other gate, set to another value than its default, gives a warning that says why it has no effect",
	},
}

const noRaftHTTP = "members speak gRPC, whose own keepalive finds dead connections"
