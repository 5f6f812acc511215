package metrics

// Facts are what a node says of itself when it is asked.
type Facts struct {
	ID     uint64
	Leader uint64 // of the root range, 0: not known
	// LeaderChanges is how often this node saw another leader of the root range.
	LeaderChanges uint64
	Learner       bool
	ServerVersion string
	Cluster       string // version, major and minor
	// LeaseCheckpoint: the remaining TTL of a lease is written down now and then.
	LeaseCheckpoint bool

	SizeBytes, SizeInUseBytes int64
	QuotaBytes                int64
	Revision, Compacted       int64 // Compacted -1: never
	AuthRevision              uint64
	Peers                     []Peer // all members, this one too
	Alarms                    []Alarm
}

// Alarm is one that is raised.
type Alarm struct {
	Member uint64
	Kind   string // NOSPACE, CORRUPT
}

// Peer is a member of the cluster.
type Peer struct {
	ID uint64
	Up bool // there is a connection to it that works
}

// Node is asked once per scrape. It must not wait for other nodes.
type Node interface {
	Facts() Facts
}
