//go:build standin

// Package integration takes the place of etcd's package of the same name, which starts
// servers inside the test's own process: here each member is a process of its own.
//
//	etcd's integration tests --> Cluster, Member --> the binary under test
//	                                  |
//	                                  '--> [bridge] --> its client port
//
// It has what tests ask of a cluster from outside. What looks into a server (its raft
// state, its files, its clock) is not here, so tests that do so are not compiled.
//
//  1. What a configuration asks for is given to the process as a flag of etcd.
//  2. A cluster is handed out when every member answers a linearizable read.
//  3. A test that ends its cluster leaves no process, port or goroutine behind.
package integration

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// What tests wait for, as etcd's own package has it.
const (
	RequestWaitTimeout = 5 * time.Second
	RequestTimeout     = 20 * time.Second
	pollEvery          = 20 * time.Millisecond
)

// ElectionTicks, each of ten milliseconds, are how long tests count on an election to take.
var ElectionTicks = int(electionTimeout / (10 * time.Millisecond))

// ClusterConfig is what a test wants of a cluster. Fields are etcd's.
type ClusterConfig struct {
	Size               int
	PeerTLS, ClientTLS *transport.TLSInfo
	AuthToken          string
	QuotaBackendBytes  int64
	MaxTxnOps          uint
	MaxRequestBytes    uint
	SnapshotCount      uint64

	GRPCKeepAliveMinTime, GRPCKeepAliveInterval, GRPCKeepAliveTimeout time.Duration

	ClientMaxCallSendMsgSize, ClientMaxCallRecvMsgSize int

	UseIP, UseBridge, UseTCP bool // members always listen at TCP ports of the loopback interface

	EnableLeaseCheckpoint, LeaseCheckpointPersist bool
	WatchProgressNotifyInterval                   time.Duration
	MaxLearners                                   int
	DisableStrictReconfigCheck                    bool
	CorruptCheckTime                              time.Duration
	Metrics                                       string

	// Of no meaning for a process that keeps etcd's defaults, or of none but etcd's.
	SnapshotCatchUpEntries      uint64
	BackendBatchInterval        time.Duration
	LeaseCheckpointInterval     time.Duration
	GRPCAdditionalServerOptions []grpc.ServerOption
}

// Cluster is running members.
type Cluster struct {
	Cfg     *ClusterConfig
	Members []*Member

	dir string
	mu  sync.Mutex
}

// NewCluster starts the members and waits until all serve.
func NewCluster(t testutil.TB, cfg *ClusterConfig) *Cluster {
	t.Helper()
	assertInTestContext(t)
	c := &Cluster{Cfg: cfg, dir: t.TempDir()}
	ports := freePorts(t, portsEach*cfg.Size)
	for i := range cfg.Size {
		c.Members = append(c.Members, newMember(c, i, ports[portsEach*i:]))
	}
	for _, m := range c.Members {
		m.initial = c.initial()
		if err := m.launch(); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	for _, m := range c.Members {
		if err := m.awaitServing(true); err != nil {
			t.Fatalf("%s: %v\n%s", m.Name, err, m.log())
		}
	}
	return c
}

// Terminate ends all members, and shows what they logged if the test failed.
func (c *Cluster) Terminate(t testutil.TB) {
	for _, m := range c.Members {
		if m.Client != nil {
			m.Client.Close()
		}
	}
	var wg sync.WaitGroup
	for _, m := range c.Members {
		wg.Go(func() { m.Terminate(t) })
	}
	wg.Wait()
	if t == nil || !t.Failed() {
		return
	}
	for _, m := range c.Members {
		t.Logf("log of %s:\n%s", m.Name, m.log())
	}
}

// Client is the client of a member.
func (c *Cluster) Client(i int) *clientv3.Client { return c.Members[i].Client }

// RandClient is the client of any member.
func (c *Cluster) RandClient() *clientv3.Client {
	return c.Members[rand.Intn(len(c.Members))].Client
}

// TakeClient leaves it to the test to close a member's client.
func (c *Cluster) TakeClient(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Members[i].Client = nil
}

// Endpoints are those of all members.
func (c *Cluster) Endpoints() (list []string) {
	for _, m := range c.Members {
		list = append(list, m.GRPCURL)
	}
	return list
}

// NewClientV3 is one more client of a member.
func (c *Cluster) NewClientV3(i int) (*clientv3.Client, error) { return NewClientV3(c.Members[i]) }

// WaitLeader returns the index of the leader once all members agree on one.
func (c *Cluster) WaitLeader(tb testing.TB) int { return c.WaitMembersForLeader(tb, c.Members) }

// WaitMembersForLeader is the same among some members.
func (c *Cluster) WaitMembersForLeader(tb testing.TB, among []*Member) int {
	ctx, cancel := context.WithTimeout(context.Background(), RequestTimeout)
	defer cancel()
	for {
		if i, ok := agreed(ctx, among); ok {
			return i
		}
		select {
		case <-ctx.Done():
			tb.Fatal("the members agree on no leader")
		case <-time.After(pollEvery):
		}
	}
}

func agreed(ctx context.Context, among []*Member) (int, bool) {
	leaders, index := map[uint64]bool{}, -1
	for i, m := range among {
		st, err := m.status(ctx)
		if err != nil || st.Leader == 0 {
			return 0, false
		}
		leaders[st.Leader] = true
		if st.Header.MemberId == st.Leader {
			index = i
		}
	}
	return index, len(leaders) == 1 && index >= 0
}

// flags are what the configuration, or a test between stop and restart, asks for.
func (m *Member) flags() (flags []string) {
	add := func(want bool, name string, value any) {
		if want {
			flags = append(flags, fmt.Sprintf("--%s=%v", name, value))
		}
	}
	cfg := m.of.Cfg
	add(cfg.AuthToken != "", "auth-token", cfg.AuthToken)
	add(m.QuotaBackendBytes != 0, "quota-backend-bytes", m.QuotaBackendBytes)
	add(cfg.MaxTxnOps != 0, "max-txn-ops", cfg.MaxTxnOps)
	add(m.MaxRequestBytes != 0, "max-request-bytes", m.MaxRequestBytes)
	add(cfg.GRPCKeepAliveMinTime != 0, "grpc-keepalive-min-time", cfg.GRPCKeepAliveMinTime)
	add(cfg.GRPCKeepAliveInterval != 0, "grpc-keepalive-interval", cfg.GRPCKeepAliveInterval)
	add(cfg.GRPCKeepAliveTimeout != 0, "grpc-keepalive-timeout", cfg.GRPCKeepAliveTimeout)
	add(cfg.WatchProgressNotifyInterval != 0, "watch-progress-notify-interval", cfg.WatchProgressNotifyInterval)
	add(cfg.MaxLearners != 0, "max-learners", cfg.MaxLearners)
	add(cfg.DisableStrictReconfigCheck, "strict-reconfig-check", false)
	add(cfg.CorruptCheckTime != 0, "corrupt-check-time", cfg.CorruptCheckTime)
	add(cfg.Metrics != "", "metrics", cfg.Metrics)
	add(cfg.EnableLeaseCheckpoint, "feature-gates",
		fmt.Sprintf("LeaseCheckpoint=true,LeaseCheckpointPersist=%v", cfg.LeaseCheckpointPersist))
	return flags
}
