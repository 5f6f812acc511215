package node

import (
	"context"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// saved is what stands in cluster.json, kept up to date.
type saved struct {
	dir string

	mu   sync.Mutex
	file membership.Cluster
}

func (s *saved) update(change func(*membership.Cluster) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !change(&s.file) {
		return nil
	}
	return s.file.Save(s.dir)
}

// membersChanged follows the node records: addresses, removals, and what a
// restart must know.
func (n *Node) membersChanged(all []*pontoonpb.NodeRecord) {
	for _, r := range all {
		id := proto.NodeID(r.NodeId)
		switch {
		case r.State == pontoonpb.NodeState_NODE_REMOVED:
			n.peers.Remove(id)
		case id != n.members.Self && len(r.PeerUrls) > 0:
			n.reach(id, r.PeerUrls[0])
		}
	}
	if err := n.saved.update(func(c *membership.Cluster) bool { return c.SetMembers(all) }); err != nil {
		n.cfg.Logger.Error("members not saved: a restart may not find them", "error", err)
	}
	if n.roster.Removed(n.members.Self) {
		n.fail(ErrRemoved)
	}
	n.placement.Wake()
	n.gossip.Nudge()
}

// reach takes in where a node is.
func (n *Node) reach(id proto.NodeID, peerURL string) {
	if err := n.peers.Set(id, peerURL); err != nil {
		n.cfg.Logger.Warn("a node has a bad address", "node", uint64(id), "peer", peerURL, "error", err)
	}
}

// fail makes the process end. The first reason counts.
func (n *Node) fail(reason error) {
	select {
	case n.failed <- reason:
		n.cfg.Logger.Error("this node stops", "reason", reason)
	default:
	}
}

// Failed tells why the node cannot go on; whoever started it stops it then.
func (n *Node) Failed() <-chan error { return n.failed }

const (
	announcePause    = 200 * time.Millisecond
	maxAnnouncePause = 5 * time.Second
	announceTimeout  = 2 * time.Second
)

// announcer tells the cluster of this node until its record is as it should be,
// and asks what became of the node when a peer turned it away.
type announcer struct {
	n      *Node
	doubt  chan struct{}
	heard  chan struct{} // closed once the others were told for the first time
	once   sync.Once
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newAnnouncer(n *Node) *announcer {
	return &announcer{n: n, doubt: make(chan struct{}, 1), heard: make(chan struct{}), cancel: func() {}}
}

// refused tells that a peer turned this node away. It does not block.
func (a *announcer) refused() {
	select {
	case a.doubt <- struct{}{}:
	default:
	}
}

func (a *announcer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.wg.Go(func() { a.run(ctx) })
}

func (a *announcer) close() {
	a.cancel()
	a.wg.Wait()
}

func (a *announcer) run(ctx context.Context) {
	pause := announcePause
	told := false
	for {
		var next <-chan time.Time
		if !told {
			if told = a.tell(ctx); !told {
				next = time.After(pause)
				pause = min(2*pause, maxAnnouncePause)
			}
		}
		select {
		case <-next:
		case <-a.doubt:
			told = false
			pause = announcePause
			select { // refusals come in numbers
			case <-time.After(announcePause):
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// tell goes to the others first, who learn this node's address from it even
// while nobody can write the record; one that was removed hears of it there.
func (a *announcer) tell(ctx context.Context) bool {
	n := a.n
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	req := aboutSelf(&n.cfg)
	req.ClusterId, req.NodeId = n.members.ID, uint64(n.members.Self)
	var others sync.WaitGroup
	for _, r := range members.Active(n.roster.Nodes()) {
		if id := proto.NodeID(r.NodeId); id != n.members.Self {
			others.Go(func() { a.tellOne(ctx, id, req) })
		}
	}
	record, err := n.membership.Join(ctx, req)
	others.Wait()
	a.once.Do(func() { close(a.heard) })
	if err != nil {
		n.cfg.Logger.Debug("telling the cluster of this node", "error", err)
		return false
	}
	n.roster.Note(record)
	return true
}

func (a *announcer) tellOne(ctx context.Context, id proto.NodeID, req *pontoonpb.JoinRequest) {
	conn, err := a.n.peers.Conn(id)
	if err != nil {
		return
	}
	reply, err := pontoonpb.NewPeerClient(conn).Join(ctx, req)
	switch {
	case err != nil:
		return
	case reply.Removed:
		a.n.buried()
	default:
		a.n.roster.Note(reply.Nodes...)
	}
}

// buried notes that this node was removed, for its next start too, and ends it.
func (n *Node) buried() {
	err := n.saved.update(func(c *membership.Cluster) bool {
		for i := range c.Members {
			if m := &c.Members[i]; m.ID == c.Self && !m.Removed {
				m.Removed = true
				return true
			}
		}
		return false
	})
	if err != nil {
		n.cfg.Logger.Error("removal not saved", "error", err)
	}
	n.fail(ErrRemoved)
}
