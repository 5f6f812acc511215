package gossip

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// State of a node as gossip sees it.
type State string

// States.
const (
	Live    State = "live"
	Suspect State = "suspect"
	Dead    State = "dead"
)

// Member is a node that was ever seen.
type Member struct {
	Node  proto.NodeID
	State State
	Meta  Meta
}

// Options configure a Gossip.
type Options struct {
	Node  proto.NodeID
	Peers Peers
	// Meta tells what the node says of itself. It must not block.
	Meta func() Meta
	// Seeds lists nodes to join. It must not block; nodes that appear later
	// are joined when they do.
	Seeds func() []proto.NodeID
	// OnChange is called when a node joins, changes its meta or state. It must
	// not block. Nil: nobody listens.
	OnChange func(Member)
	// OnPing is called with the round trip of a probe that was answered. It must
	// not block. Nil: nobody listens.
	OnPing func(proto.NodeID, time.Duration)
	// ProbeInterval is how often a node is probed. Default 500 ms.
	ProbeInterval time.Duration
	// ProbeTimeout bounds one probe. Default 200 ms.
	ProbeTimeout time.Duration
	// UpdateInterval is how often the own meta is looked at, and seeds that
	// are missing are joined. Default 2 s.
	UpdateInterval time.Duration
	Logger         *slog.Logger
}

func (o *Options) defaults() error {
	if o.Node == 0 || o.Peers == nil || o.Meta == nil || o.Seeds == nil {
		return errors.New("gossip: node, peers, meta and seeds are required")
	}
	if o.OnChange == nil {
		o.OnChange = func(Member) {}
	}
	if o.OnPing == nil {
		o.OnPing = func(proto.NodeID, time.Duration) {}
	}
	if o.ProbeInterval <= 0 {
		o.ProbeInterval = 500 * time.Millisecond
	}
	if o.ProbeTimeout <= 0 {
		o.ProbeTimeout = 200 * time.Millisecond
	}
	if o.UpdateInterval <= 0 {
		o.UpdateInterval = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Gossip is one node's part in it.
type Gossip struct {
	opts      Options
	transport *transport
	list      *memberlist.Memberlist
	stop      chan struct{}
	nudge     chan struct{}
	wg        sync.WaitGroup

	mu      sync.Mutex
	members map[proto.NodeID]Member // all ever seen; State without suspicion
}

// New returns a node that is alone; Start makes it join.
func New(opts Options) (*Gossip, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	g := &Gossip{
		opts: opts, transport: newTransport(opts.Node, opts.Peers),
		stop: make(chan struct{}), nudge: make(chan struct{}, 1), members: map[proto.NodeID]Member{},
	}
	g.transport.onSuspicion = g.suspicion
	list, err := memberlist.Create(g.config())
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.list = list
	return g, nil
}

// config tunes memberlist for a few to a few hundred nodes on a LAN.
func (g *Gossip) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = nameOf(g.opts.Node)
	c.Transport = g.transport
	c.BindPort, c.AdvertisePort = addressPort, addressPort
	c.ProbeInterval, c.ProbeTimeout = g.opts.ProbeInterval, g.opts.ProbeTimeout
	c.GossipInterval = 100 * time.Millisecond
	c.PushPullInterval = 15 * time.Second
	c.TCPTimeout = 3 * time.Second
	// A probe over a second path would use the same connection.
	c.DisableTcpPings = true
	// A restarted node has the same name and address, nothing is to reclaim.
	c.DeadNodeReclaimTime = time.Second
	c.EnableCompression = false
	c.Delegate = (*delegate)(g)
	c.Events = (*events)(g)
	c.Ping = (*pings)(g)
	c.Logger = log.New(&logWriter{g.opts.Logger}, "", 0)
	return c
}

// updateTimeout bounds the wait for the own news to leave. Without a bound the
// wait has no end once the others are gone, and Close would wait with it.
const updateTimeout = 500 * time.Millisecond

// Start joins the seeds, and goes on doing so.
func (g *Gossip) Start() { g.wg.Go(g.run) }

// Close leaves, so that the others know at once. Before that its meta is told once
// more: it can say that the node leaves for good reason, which memberlist does not.
func (g *Gossip) Close() error {
	close(g.stop)
	g.wg.Wait()
	const leaveTimeout, farewellTimeout = time.Second, 500 * time.Millisecond
	if err := g.list.UpdateNode(farewellTimeout); err != nil {
		g.opts.Logger.Debug("gossip update", "err", err)
	}
	leaveErr := g.list.Leave(leaveTimeout)
	return errors.Join(leaveErr, g.list.Shutdown())
}

// Gossip is the server side of Peer.Gossip.
func (g *Gossip) Gossip(stream pontoonpb.Peer_GossipServer) error {
	return g.transport.serve(stream)
}

// Members returns all nodes ever seen, by id.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Member, 0, len(g.members))
	for _, m := range g.members {
		list = append(list, g.judged(m))
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

// Member returns what is known of a node; false: it was never seen.
func (g *Gossip) Member(node proto.NodeID) (Member, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m, ok := g.members[node]
	return g.judged(m), ok
}

// judged adds suspicion: memberlist has not given the node up yet, but the own
// link to it is down and nothing was heard from it since.
func (g *Gossip) judged(m Member) Member {
	if m.State == Live && g.transport.suspects(m.Node) {
		m.State = Suspect
	}
	return m
}

// suspicion passes on that the link to a node went down, or that it was heard
// from again.
func (g *Gossip) suspicion(node proto.NodeID) {
	if m, ok := g.Member(node); ok && m.State != Dead {
		g.opts.OnChange(m)
	}
}

func (g *Gossip) run() {
	t := time.NewTicker(g.opts.UpdateInterval)
	defer t.Stop()
	var told []byte
	for {
		g.join()
		if b, err := g.opts.Meta().encode(memberlist.MetaMaxSize); err == nil && !bytes.Equal(b, told) {
			told = b
			if err := g.list.UpdateNode(updateTimeout); err != nil {
				g.opts.Logger.Debug("gossip update", "err", err)
			}
		}
		select {
		case <-t.C:
		case <-g.nudge:
		case <-g.stop:
			return
		}
	}
}

// Nudge spreads the own meta soon, because it changed in a way that others wait
// for. It does not block.
func (g *Gossip) Nudge() {
	select {
	case g.nudge <- struct{}{}:
	default:
	}
}

// join joins the seeds that are not known as alive.
func (g *Gossip) join() {
	for _, seed := range g.opts.Seeds() {
		if m, ok := g.Member(seed); seed == g.opts.Node || ok && m.State != Dead {
			continue
		}
		select {
		case <-g.stop:
			return
		default:
		}
		if _, err := g.list.Join([]string{addressOf(seed)}); err != nil {
			g.opts.Logger.Debug("gossip join", "node", uint64(seed), "err", err)
		}
	}
}

func nameOf(node proto.NodeID) string { return strconv.FormatUint(uint64(node), 16) }

// memberOf translates memberlist's view of a node.
func memberOf(n *memberlist.Node, state State) (Member, bool) {
	id, err := strconv.ParseUint(n.Name, 16, 64)
	if err != nil {
		return Member{}, false
	}
	m := Member{Node: proto.NodeID(id), State: state}
	if meta, err := decodeMeta(n.Meta); err == nil {
		m.Meta = meta
	}
	return m, true
}
