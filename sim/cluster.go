package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/bench/dial"
	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/sim/simnet"
)

// near is a link within one building.
var near = simnet.Shape{Delay: 200 * time.Microsecond, Jitter: 300 * time.Microsecond}

// cluster is the machines and those who use them.
type cluster struct {
	opts     Options
	net      *simnet.Network
	gateways []string // client addresses of those that belong to it from the start
	steer    *steer.Client
	users    atomic.Int64

	mu       sync.Mutex
	machines []*machine // of the members
	spares   []*machine // may join
}

// newCluster builds the machines; nothing runs yet.
func newCluster(o Options, nodes int, tune func(*config.Config)) (*cluster, error) {
	c := &cluster{opts: o, net: simnet.New(o.Seed, near)}
	var initial, peers []string
	for i := range nodes {
		m := c.machine(i + 1)
		c.machines = append(c.machines, m)
		c.gateways = append(c.gateways, m.clientAddr())
		initial = append(initial, m.name+"="+m.peerURL())
		peers = append(peers, m.peerAddr())
	}
	for i := range spares {
		m := c.machine(nodes + i + 1)
		m.cfg.Join = peers
		c.spares = append(c.spares, m)
	}
	for _, m := range slices.Concat(c.machines, c.spares) {
		if len(m.cfg.Join) == 0 {
			m.cfg.InitialCluster = strings.Join(initial, ",")
		}
		tune(&m.cfg)
		if err := m.cfg.Complete(); err != nil {
			return nil, err
		}
	}
	c.steer = steer.New(c.running, c.fromDesk())
	return c, nil
}

// fromDesk dials from the machine of whoever runs the cluster.
func (c *cluster) fromDesk() grpc.DialOption {
	return grpc.WithContextDialer(c.net.Host("10.0.2.1").Process().Dial)
}

// admin gives commands to one machine alone.
func (c *cluster) admin(m *machine) *steer.Client {
	return steer.New(func() []string { return []string{m.clientAddr()} }, c.fromDesk())
}

// machine puts up the i-th machine.
func (c *cluster) machine(i int) *machine {
	m := &machine{
		name: fmt.Sprintf("n%d", i), ip: fmt.Sprintf("10.0.0.%d", i), dir: c.opts.Dir,
		clock: newClock(time.Duration(i) * time.Hour), disk: newDisk(c.opts.Seed, uint64(i)),
	}
	m.host = c.net.Host(m.ip)
	cfg := config.Default()
	cfg.Name = m.name
	cfg.ListenClientURLs = []string{"http://" + m.clientAddr()}
	cfg.AdvertiseClientURLs = cfg.ListenClientURLs
	cfg.ListenPeerURLs = []string{m.peerURL()}
	cfg.AdvertisePeerURLs = cfg.ListenPeerURLs
	cfg.WatchProgressNotifyInterval = time.Second
	cfg.CacheBytes = 1 << 20
	cfg.EnableGateway = false
	cfg.Logger = c.opts.Logger.With("on", m.name)
	m.cfg = cfg
	return m
}

// running are the client addresses of the nodes that run.
func (c *cluster) running() (list []string) {
	for _, m := range c.members() {
		if m.running() {
			list = append(list, m.clientAddr())
		}
	}
	return list
}

// startAll starts what does not run and waits until all serve.
func (c *cluster) startAll(ctx context.Context) error {
	for _, m := range c.members() {
		if !m.running() {
			if err := m.start(ctx); err != nil {
				return err
			}
		}
	}
	return c.allServe(ctx)
}

// allServe waits until every node lets clients in.
func (c *cluster) allServe(ctx context.Context) error {
	for _, m := range c.members() {
		select {
		case <-m.node.Serving():
		case <-ctx.Done():
			return fmt.Errorf("%s serves nobody: %w", m.name, ctx.Err())
		}
	}
	return nil
}

// open opens a client on a machine of its own.
func (c *cluster) open(endpoints ...string) (*clientv3.Client, error) {
	host := c.net.Host(fmt.Sprintf("10.0.1.%d", c.users.Add(1)))
	return dial.Open(dial.Options{Endpoints: endpoints, Connect: host.Process().Dial})
}

// close ends everything.
func (c *cluster) close() error {
	errs := []error{c.steer.Close()}
	for _, m := range c.members() {
		if m.running() {
			errs = append(errs, m.die(100, 0))
		}
	}
	return errors.Join(errs...)
}
