package rangeraft

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/rangeraft/feed"
	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
	"github.com/pontoon-kv/pontoon/storage"
)

// Options of a Store. Zero values mean the default.
type Options struct {
	NodeID    proto.NodeID
	ClusterID uint64
	Engine    *storage.Engine // owned by the caller, open until after Close

	Sequencer Sequencer
	LeaseHome LeaseHome
	Resolver  Resolver
	Lessor    Lessor     // nil: leases are not served
	Root      RootEvents // nil: no sequencer here
	Directory Directory  // nil: nobody listens
	Room      Room       // nil: there is always room
	Peers     Peers

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are not exported

	// Fresh says that every range in the engine was made by this process start:
	// no earlier life can have promised anything (P3).
	Fresh bool
	// DisableLeaderLease makes every use of the leader lease a quorum round (P5).
	DisableLeaderLease bool
	// TickInterval is the heartbeat interval and the unit of ElectionTicks.
	// Default 100 ms, as in etcd.
	TickInterval time.Duration
	// ElectionTicks is the election timeout in ticks. Default 10.
	ElectionTicks int
	// ClockDriftPerMille bounds how far two monotonic clocks drift apart (P4).
	// Default 10.
	ClockDriftPerMille int64
	// Now is the monotonic clock. Default: one that counts suspended time.
	Now func() leaderlease.Nanos

	// HibernateAfter is how long a range must be idle to fall asleep (P48).
	// Default 4 s; negative: never. Without leader leases no range sleeps.
	HibernateAfter time.Duration

	// Workers process ranges. Default: twice the processors, at least 4.
	Workers int
	// MaxInflight bounds append messages in flight to a follower. Default 256.
	MaxInflight int
	// MaxMessageBytes bounds the entries of one append message. Default 1 MiB.
	MaxMessageBytes uint64
	// MaxUncommittedBytes bounds what a leader has in its log uncommitted.
	// Default 64 MiB.
	MaxUncommittedBytes uint64

	// LogEntries is how long a log grows before the leader drops what every
	// replica has. Default 256.
	LogEntries uint64
	// LogBytes is what is applied before it does so anyway, in bytes of entries.
	// Default 512 KiB.
	LogBytes int64
	// LogEntriesMax is how long a log grows before replicas that lag or are away
	// are left to a raft snapshot. Default 16384.
	LogEntriesMax uint64
	// Snapshots bounds raft snapshots being sent at a time. Default 2.
	Snapshots int
	// SnapshotBytesPerSecond bounds their rate. Default 64 MiB.
	SnapshotBytesPerSecond int

	// Feed bounds the feeds of each replica.
	Feed feed.Options
	// MaxBatchBytes bounds the effects of one entry. Default 1 MiB.
	MaxBatchBytes int
	// PipelineAt is how many writes must wait on a range for an entry of their
	// own while another one is in flight. Default 16.
	PipelineAt int
	// MaxWriters bounds clients' writes under way at a range; more are refused.
	// Default 5000, what etcd lets wait between commit and apply.
	MaxWriters int
	// MaxWriteBytes bounds the bytes of clients' writes under way at all ranges.
	// Default 256 MiB.
	MaxWriteBytes int64
	// RecentBytes bounds the newest versions that leaders remember of what they
	// wrote, so that writing it again reads no engine. Default 32 MiB.
	RecentBytes int64
}

// Validate fills defaults and names what is missing.
func (o *Options) Validate() error {
	if o.NodeID == 0 || o.Engine == nil || o.Sequencer == nil || o.Peers == nil {
		return errors.New("rangeraft: NodeID, Engine, Sequencer and Peers are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = monotonicNow
	}
	setDefault(&o.TickInterval, 100*time.Millisecond)
	setDefault(&o.ElectionTicks, 10)
	setDefault(&o.ClockDriftPerMille, 10)
	setDefault(&o.HibernateAfter, 4*time.Second)
	setDefault(&o.Workers, max(4, 2*runtime.GOMAXPROCS(0)))
	setDefault(&o.MaxInflight, 256)
	setDefault(&o.MaxMessageBytes, 1<<20)
	setDefault(&o.MaxUncommittedBytes, 64<<20)
	setDefault(&o.LogEntries, 256)
	setDefault(&o.LogBytes, 512<<10)
	setDefault(&o.LogEntriesMax, 16384)
	setDefault(&o.Snapshots, 2)
	setDefault(&o.SnapshotBytesPerSecond, 64<<20)
	setDefault(&o.MaxBatchBytes, 1<<20)
	setDefault(&o.PipelineAt, 16)
	setDefault(&o.MaxWriters, 5000)
	setDefault(&o.MaxWriteBytes, 256<<20)
	setDefault(&o.RecentBytes, 32<<20)
	if o.ElectionTicks < 4 {
		return fmt.Errorf("rangeraft: ElectionTicks %d leaves no leader lease", o.ElectionTicks)
	}
	if o.LogEntriesMax < o.LogEntries {
		return errors.New("rangeraft: LogEntriesMax is below LogEntries")
	}
	return nil
}

// electionTimeout is the least time without a leader before an election.
func (o *Options) electionTimeout() time.Duration {
	return time.Duration(o.ElectionTicks) * o.TickInterval
}

// hibernates reports whether ranges sleep at all.
func (o *Options) hibernates() bool { return o.HibernateAfter > 0 && !o.DisableLeaderLease }

// hibernateTicks is HibernateAfter in ticks.
func (o *Options) hibernateTicks() int {
	return max(1, int(o.HibernateAfter/o.TickInterval))
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
