// Package config holds the settings of one node and what makes them
// consistent. Names, defaults and refusals are etcd's, so that a manifest that
// starts etcd starts Pontoon.
//
// It reads no flags, files or environment: that is the command's business.
package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/pontoon-kv/pontoon/node/discovery"
	"github.com/pontoon-kv/pontoon/node/secure"
	"github.com/pontoon-kv/pontoon/storage"
)

// Defaults, as etcd's.
const (
	DefaultName           = "default"
	DefaultClientURL      = "http://localhost:2379"
	DefaultPeerURL        = "http://localhost:2380"
	DefaultToken          = "etcd-cluster"
	DefaultHeartbeat      = 100 * time.Millisecond
	DefaultElection       = time.Second
	DefaultMaxRequest     = 1.5 * 1024 * 1024
	DefaultMaxTxnOps      = 128
	DefaultMaxInFlight    = 5000 // what etcd lets wait between commit and apply
	DefaultMaxLearners    = 1
	DefaultProgressNotify = 10 * time.Minute
	DefaultAuthToken      = "simple"
	DefaultAuthTokenTTL   = 5 * time.Minute
	DefaultBcryptCost     = 10
	DefaultKeepAliveMin   = 5 * time.Second
	DefaultKeepAlive      = 2 * time.Hour
	DefaultKeepAliveWait  = 20 * time.Second
	DefaultSlowRequest    = 300 * time.Millisecond
	DefaultTracingService = "pontoon"
	maxElection           = 50 * time.Second
	minProgressNotify     = 100 * time.Millisecond
	maxPerMillion         = 1_000_000
)

// Config is everything a node is told from outside.
type Config struct {
	Name    string
	DataDir string // default: NAME.pontoon

	ListenClientURLs     []string
	ListenClientHTTPURLs []string // HTTP is served there alone; empty: on ListenClientURLs
	ListenMetricsURLs    []string // metrics and health without anything else
	AdvertiseClientURLs  []string
	ListenPeerURLs       []string
	AdvertisePeerURLs    []string
	ReusePort            bool // SO_REUSEPORT on all listeners
	ReuseAddress         bool // SO_REUSEADDR on all listeners

	InitialCluster      string // name=url,...; default: this node alone
	InitialClusterState string // "new" or "existing"
	InitialClusterToken string

	// Join are peer addresses (HOST:PORT) of members of a running cluster that
	// this node is to belong to; it takes the place of InitialCluster.
	Join []string
	// Discovery finds the members of a new cluster; it takes the place of InitialCluster.
	Discovery discovery.Options
	// SRV finds them in DNS.
	SRV discovery.SRV
	// Locality says where the node is, wide to narrow: region=..,zone=..
	Locality string

	StrictReconfigCheck bool // refuse membership changes that would endanger the quorum
	MaxLearners         uint // learner members at a time

	HeartbeatInterval time.Duration // raft tick
	ElectionTimeout   time.Duration // at least five heartbeats
	LeaderLease       bool          // false: every read and grant confirms by a quorum round (P5)

	WatchProgressNotifyInterval time.Duration
	MaxRequestBytes             uint // largest request a client may send, bytes
	MaxTxnOps                   uint // largest number of operations in one txn
	MaxConcurrentStreams        uint32
	MaxRequestsInFlight         uint // requests of clients under way at a time; more are refused
	Keepalive                   Keepalive
	SlowRequest                 time.Duration // a unary request that takes longer is logged

	QuotaBackendBytes       int64         // of users' data in this node's store; 0: what the disk has room for, negative: none
	AutoCompactionMode      string        // "periodic" or "revision"
	AutoCompactionRetention string        // hours or a duration, or a number of revisions; "0": off
	LeaseCheckpoint         bool          // the remaining TTL of a lease outlives a change of leader
	CorruptCheckTime        time.Duration // between two comparisons of the replicas of a range; 0: none

	ClientTLS, PeerTLS     secure.Settings
	TLSVersions            secure.Versions
	SelfSignedCertValidity uint // years

	AuthToken    string        // "simple" or "jwt,..."
	AuthTokenTTL time.Duration // of simple tokens
	BcryptCost   int           // of password hashes

	CacheBytes    int64 // engine block cache
	EnablePprof   bool  // serve /debug/pprof on the client port
	EnableGateway bool  // serve /v3/
	CORS          []string
	HostWhitelist []string // of plain HTTP requests; "*" or empty: any host
	Metrics       string   // "basic" or "extensive"
	Tracing       Tracing

	Logger *slog.Logger

	// FS, Network and Now are the machine under the node; nil: the real one. No
	// flag sets them: a simulated machine loses power, cuts links and has a clock
	// of its own.
	FS      *storage.FS
	Network Network
	Now     func() time.Duration // monotonic, counts suspended time (P4)
}

// Network carries the connections of a node.
type Network interface {
	// Listen opens HOST:PORT.
	Listen(addr string) (net.Listener, error)
	// Dial connects to HOST:PORT, or fails when ctx ends.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// Keepalive is what connections of clients are held to.
type Keepalive struct {
	MinTime  time.Duration // between two pings of a client; 0: gRPC's own limit
	Interval time.Duration // between two pings of a client by the server
	Timeout  time.Duration // of the answer; if it or Interval is 0, gRPC's own
}

// Tracing says where spans go.
type Tracing struct {
	Endpoint string // OTLP gRPC host:port; empty: tracing off
	Service  string
	Instance string // default: the node's name
	// PerMillion is how many of a million traces are kept that begin here.
	PerMillion int
}

// Sampled is the part of the traces that begin here which is kept, 0 to 1.
func (t Tracing) Sampled() float64 { return float64(t.PerMillion) / maxPerMillion }

// Default returns the settings of `pontoon start` without flags.
func Default() Config {
	return Config{
		Name:                        DefaultName,
		ListenClientURLs:            []string{DefaultClientURL},
		ListenPeerURLs:              []string{DefaultPeerURL},
		InitialClusterState:         "new",
		InitialClusterToken:         DefaultToken,
		StrictReconfigCheck:         true,
		MaxLearners:                 DefaultMaxLearners,
		HeartbeatInterval:           DefaultHeartbeat,
		ElectionTimeout:             DefaultElection,
		Discovery:                   discovery.Defaults(),
		LeaderLease:                 true,
		WatchProgressNotifyInterval: DefaultProgressNotify,
		MaxRequestBytes:             DefaultMaxRequest,
		MaxTxnOps:                   DefaultMaxTxnOps,
		MaxConcurrentStreams:        math.MaxUint32,
		MaxRequestsInFlight:         DefaultMaxInFlight,
		Keepalive:                   Keepalive{MinTime: DefaultKeepAliveMin, Interval: DefaultKeepAlive, Timeout: DefaultKeepAliveWait},
		SlowRequest:                 DefaultSlowRequest,
		AutoCompactionMode:          "periodic",
		AutoCompactionRetention:     "0",
		SelfSignedCertValidity:      1,
		AuthToken:                   DefaultAuthToken,
		AuthTokenTTL:                DefaultAuthTokenTTL,
		BcryptCost:                  DefaultBcryptCost,
		CacheBytes:                  64 << 20,
		EnablePprof:                 true,
		EnableGateway:               true,
		CORS:                        []string{"*"},
		HostWhitelist:               []string{"*"},
		Metrics:                     "basic",
		Tracing:                     Tracing{Service: DefaultTracingService, PerMillion: maxPerMillion},
		Logger:                      slog.Default(),
	}
}

// Complete fills what follows from other settings and refuses contradictions.
// The texts are etcd's where etcd has the same refusal.
func (c *Config) Complete() error {
	if c.Name == "" {
		return errors.New("--name must not be empty")
	}
	if c.DataDir == "" {
		c.DataDir = c.Name + ".pontoon"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.completeURLs(); err != nil {
		return err
	}
	if err := c.checkJoin(); err != nil {
		return err
	}
	if err := c.checkDiscovery(); err != nil {
		return err
	}
	if c.InitialCluster == "" && len(c.Join) == 0 && !c.Discovery.Wanted() && !c.SRV.Wanted() {
		c.InitialCluster = c.Alone()
	}
	switch c.InitialClusterState {
	case "new", "existing":
	default:
		return fmt.Errorf("unexpected clusterState %q", c.InitialClusterState)
	}
	if err := c.checkCompaction(); err != nil {
		return err
	}
	return c.checkNumbers()
}

// Alone is this node in the form of InitialCluster.
func (c *Config) Alone() string { return initialCluster(c.Name, c.AdvertisePeerURLs) }

func (c *Config) checkNumbers() error {
	switch {
	case c.HeartbeatInterval <= 0:
		return fmt.Errorf("--heartbeat-interval must be >0 (set to %dms)", c.HeartbeatInterval.Milliseconds())
	case c.ElectionTimeout <= 0:
		return fmt.Errorf("--election-timeout must be >0 (set to %dms)", c.ElectionTimeout.Milliseconds())
	case 5*c.HeartbeatInterval > c.ElectionTimeout:
		return fmt.Errorf("--election-timeout[%vms] should be at least as 5 times as --heartbeat-interval[%vms]",
			c.ElectionTimeout.Milliseconds(), c.HeartbeatInterval.Milliseconds())
	case c.ElectionTimeout > maxElection:
		return fmt.Errorf("--election-timeout[%vms] is too long, and should be set less than %vms",
			c.ElectionTimeout.Milliseconds(), maxElection.Milliseconds())
	case c.MaxRequestBytes == 0:
		return errors.New("--max-request-bytes must be >0")
	case c.Metrics != "basic" && c.Metrics != "extensive":
		return fmt.Errorf("--metrics must be basic or extensive (set to %q)", c.Metrics)
	case c.MaxTxnOps == 0:
		return errors.New("--max-txn-ops must be >0")
	case c.MaxRequestsInFlight == 0 || c.MaxRequestsInFlight > math.MaxInt32:
		return fmt.Errorf("--max-requests-in-flight must be >0 and at most %d (set to %d)", math.MaxInt32, c.MaxRequestsInFlight)
	case c.Tracing.PerMillion < 0:
		return errors.New("distributed tracing configurition is not valid: (tracing sampling rate must be positive)")
	case c.Tracing.PerMillion > maxPerMillion:
		return fmt.Errorf("distributed tracing configurition is not valid: (tracing sampling rate must be less than %d)", maxPerMillion)
	}
	c.completeProgress()
	return nil
}

// completeProgress raises an interval that is too short, as etcd does.
func (c *Config) completeProgress() {
	switch {
	case c.WatchProgressNotifyInterval <= 0:
		c.WatchProgressNotifyInterval = DefaultProgressNotify
	case c.WatchProgressNotifyInterval < minProgressNotify:
		c.Logger.Warn("adjusting watch progress notify interval to minimum period", "min-watch-progress-notify-interval", minProgressNotify)
		c.WatchProgressNotifyInterval = minProgressNotify
	}
}

// checkCompaction refuses what etcd refuses.
func (c *Config) checkCompaction() error {
	switch c.AutoCompactionMode {
	case "periodic", "revision":
	case "":
		return errors.New("undefined auto-compaction-mode")
	default:
		return fmt.Errorf("unknown auto-compaction-mode %q", c.AutoCompactionMode)
	}
	if n, err := strconv.Atoi(c.AutoCompactionRetention); err == nil && n >= 0 {
		return nil
	}
	if _, err := time.ParseDuration(c.AutoCompactionRetention); err != nil {
		return fmt.Errorf("error parsing CompactionRetention: %w", err)
	}
	return nil
}

// RequestTimeout is how long a request may take when the client named no
// deadline: 5 s plus two elections, as in etcd.
func (c *Config) RequestTimeout() time.Duration {
	return 5*time.Second + 2*c.ElectionTimeout
}
