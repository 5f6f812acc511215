package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pontoon-kv/pontoon/node/version"
)

const (
	// transferGrace is how long leaderships may take to go: a range that nobody
	// takes must not use up the time of the clients.
	transferGrace = 4 * time.Second
	// serveGrace is how long requests in flight may take while servers stop.
	serveGrace = 3 * time.Second
	// drainGrace is how long other nodes' operations may take then.
	drainGrace = time.Second
	// leaveGrace is how long the ends of their streams may take to reach them.
	leaveGrace = 200 * time.Millisecond
	// readyTimeout and readyPause space the tries to serve a first read.
	readyTimeout = time.Second
	readyPause   = 5 * time.Millisecond
)

// elections is how many election timeouts a node without a quorum waits before
// it serves clients nevertheless: what needs no quorum can be asked then.
const elections = 3

// serving opens and closes the doors to clients.
type serving struct {
	node     *Node
	may      chan struct{} // closed: clients are let in
	stopping atomic.Bool
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

func newServing(n *Node) *serving {
	s := &serving{node: n, may: make(chan struct{}), cancel: func() {}}
	n.onClose(s.close)
	return s
}

// start lets clients in once this node has served a read of its own, and the
// others know that it is there: whoever comes earlier would wait longer here
// than at another node, and whoever restarts the next node then would take the
// quorum away.
func (s *serving) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	limit := time.After(elections * s.node.cfg.ElectionTimeout)
	ready := make(chan struct{})
	s.wg.Go(func() {
		defer close(ready)
		for !s.try(ctx) {
			select {
			case <-time.After(readyPause):
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-s.node.announcer.heard:
		case <-ctx.Done():
		}
	})
	s.wg.Go(func() {
		select {
		case <-ready:
		case <-limit:
			s.node.cfg.Logger.Warn("no quorum found yet, clients are served without")
		case <-ctx.Done():
		}
		if ctx.Err() == nil {
			s.letIn()
		}
	})
}

func (s *serving) try(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if (probe{s.node}).Read(ctx, false) != nil {
		return false
	}
	// The first request may come when no quorum is left to read the rules from.
	_, err := s.node.guard.Current(ctx)
	return err == nil
}

func (s *serving) letIn() {
	n := s.node
	n.cfg.Logger.Info("ready to serve client requests", "node", fmt.Sprintf("%x", uint64(n.members.Self)), "name", n.cfg.Name,
		"cluster", fmt.Sprintf("%x", n.members.ID), "client_urls", n.cfg.ListenClientURLs, "peer_urls", n.cfg.ListenPeerURLs,
		"version", version.Pontoon)
	close(s.may) // whoever waits for it finds the line in the log
}

// Serving is closed once clients are let in.
func (n *Node) Serving() <-chan struct{} { return n.serving.may }

func (s *serving) close() {
	s.cancel()
	s.wg.Wait()
}

// errStopping fails the probes of a node that stops, so that nobody new is sent
// to it.
var errStopping = errors.New("this node is stopping")

// Stop hands leaderships over, lets requests in flight finish, has clients and
// other nodes go elsewhere, and stops. ctx bounds all of that; what it cuts off
// is left to elections and retries.
func (n *Node) Stop(ctx context.Context) error {
	n.serving.stopping.Store(true)
	n.health.Shutdown()
	n.placement.Close()
	// The others hand nothing to this node any more: it would decline.
	n.goodbye.Store(true)
	n.gossip.Nudge()
	n.transferAll(ctx)
	n.sendClientsAway(ctx)
	// From here on nobody counts on this node. What came to be led here meanwhile
	// goes to the others.
	n.leaveGossip()
	n.transferAll(ctx)
	drain, cancel := context.WithTimeout(ctx, drainGrace)
	n.store.Transport().Drain(drain)
	cancel()
	leave, cancel := context.WithTimeout(ctx, leaveGrace)
	n.servers.StopPeers(leave)
	cancel()
	n.close()
	n.cfg.Logger.Info("stopped")
	return nil
}

func (n *Node) transferAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, transferGrace)
	defer cancel()
	n.store.TransferAll(ctx)
}

// leaveGossip lets the others know that this node goes. It comes after its
// clients went: the others resolve what a node that is gone had under way (P32).
func (n *Node) leaveGossip() {
	n.gossiping.Do(func() {
		if err := n.gossip.Close(); err != nil {
			n.cfg.Logger.Debug("leaving gossip", "error", err)
		}
	})
}

// farewell has clients go elsewhere for good: this node holds nothing any more.
func (n *Node) farewell() {
	n.serving.stopping.Store(true)
	n.health.Shutdown()
	n.sendClientsAway(context.Background())
}

func (n *Node) sendClientsAway(ctx context.Context) {
	n.endStreams()
	ctx, cancel := context.WithTimeout(ctx, serveGrace)
	defer cancel()
	n.servers.StopClients(ctx)
}
