package members

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/types"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// HealthInterval is how long a node must have been there to count as steady,
// as in etcd.
const HealthInterval = 5 * time.Second

// leaveWait is how long a removal waits for a member to take its leave.
const leaveWait = 4 * time.Second

// promoteWait is how long a promotion waits for the learner to be heard of.
const promoteWait = 2 * time.Second

// Options configure Members.
type Options struct {
	Cache    *Cache
	Records  Records
	Ranges   Ranges
	Observer Observer
	Limits   Limits
	Logger   *slog.Logger
}

// Members carries changes of the membership out. Safe for concurrent use.
type Members struct {
	opts Options
	// Settle's own: when it looked last, and since when leaving members that live
	// hold nothing.
	settled time.Time
	emptied map[proto.NodeID]time.Time
}

// New returns the membership as changed from this node.
func New(opts Options) *Members { return &Members{opts: opts, emptied: map[proto.NodeID]time.Time{}} }

// Nodes returns all records, removed ones too: as last read by this node, or
// read now.
func (m *Members) Nodes(ctx context.Context, linearizable bool) ([]*pontoonpb.NodeRecord, error) {
	if linearizable {
		if err := m.opts.Cache.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return m.opts.Cache.Nodes(), nil
}

// Add adds a member that is to start later.
func (m *Members) Add(ctx context.Context, peerURLs []string, learner bool) (*pontoonpb.NodeRecord, error) {
	urls, err := types.NewURLs(peerURLs)
	if err != nil {
		return nil, rpctypes.ErrGRPCMemberBadURLs
	}
	return m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		return add(all, urls.StringSlice(), learner, m.opts.Limits, m.opts.Observer.Steady, time.Now())
	})
}

// Update gives a member other peer URLs.
func (m *Members) Update(ctx context.Context, id proto.NodeID, peerURLs []string) error {
	_, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		return update(all, id, peerURLs)
	})
	return err
}

// Promote makes a learner member one that may hold replicas. One that is not
// there gets a moment: what this node heard of it may be old.
func (m *Members) Promote(ctx context.Context, id proto.NodeID) error {
	ready, cancel := context.WithTimeout(ctx, promoteWait)
	defer cancel()
	poll := time.NewTicker(promoteWait / 20)
	defer poll.Stop()
	for {
		_, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
			return promote(all, id, m.opts.Limits, m.opts.Observer.Live)
		})
		if !errors.Is(err, rpctypes.ErrGRPCLearnerNotReady) {
			return err
		}
		select {
		case <-poll.C:
		case <-ready.Done():
			return err
		}
	}
}

// Join serves a node that wants to belong to the cluster, or tells of itself.
func (m *Members) Join(ctx context.Context, req *pontoonpb.JoinRequest) (*pontoonpb.NodeRecord, error) {
	if have := m.opts.Cache.Node(proto.NodeID(req.NodeId)); have != nil {
		// A removal is final, so it needs no quorum to be told (M1); nor does what
		// is recorded already.
		record, next, err := announce([]*pontoonpb.NodeRecord{have}, req)
		var no *Refusal
		if errors.As(err, &no) && no.Removed || err == nil && next == nil && have.Revision > 0 {
			return record, err
		}
	}
	var record *pontoonpb.NodeRecord
	written, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (next *pontoonpb.NodeRecord, err error) {
		record, next, err = join(all, req, time.Now())
		return next, err
	})
	if written != nil {
		record = written
		m.opts.Logger.Info("a node joined or told of itself", "node", record.NodeId, "name", req.Name, "peer_urls", record.PeerUrls)
	}
	return record, err
}

// Drain has a member emptied, or with undo filled again.
func (m *Members) Drain(ctx context.Context, id proto.NodeID, undo bool) error {
	_, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		r := Find(all, id)
		if err := standing(r, id); err != nil {
			return nil, err
		}
		next := clone(r)
		if undo {
			next.State, next.Leaving = pontoonpb.NodeState_NODE_ACTIVE, false
			return next, nil
		}
		if !holderBeside(all, id) {
			return nil, refused("no other node can take what node %s holds", r.Name)
		}
		next.State = pontoonpb.NodeState_NODE_DRAINING
		return next, nil
	})
	return err
}

// holderBeside reports whether another member may hold replicas.
func holderBeside(all []*pontoonpb.NodeRecord, id proto.NodeID) bool {
	for _, r := range Active(all) {
		if r.NodeId != uint64(id) && r.State == pontoonpb.NodeState_NODE_ACTIVE && !r.Learner && r.Name != "" {
			return true
		}
	}
	return false
}

// Remove takes a member out for good. It is refused while the member holds
// replicas; force gives those up that every range can do without. A member that
// answers takes its leave itself, so that its clients go elsewhere first.
func (m *Members) Remove(ctx context.Context, id proto.NodeID, force bool) error {
	all, err := m.opts.Records.Nodes(ctx)
	if err != nil {
		return err
	}
	r := Find(all, id)
	if err := standing(r, id); err != nil {
		return err
	}
	live := m.opts.Observer.Live(id)
	n, err := m.held(ctx, id)
	switch {
	case err != nil:
		return err
	case n > 0 && !force:
		return refused("node %s holds %d replicas: drain it first, or force its removal if it is lost", r.Name, n)
	case n > 0 && live:
		return refused("node %s answers and holds %d replicas: drain it instead of forcing its removal", r.Name, n)
	case n > 0:
		if err := m.quorate(ctx, id); err != nil {
			return err
		}
	case !holderBeside(all, id):
		return refused("node %s is the last one", r.Name)
	}
	if live && r.Name != "" {
		if err := m.dismiss(ctx, id); err != nil {
			return err
		}
		if m.awaitRemoved(ctx, id) {
			return nil
		}
		m.opts.Logger.Warn("node does not take its leave, and is removed without", "node", uint64(id))
	}
	return m.bury(ctx, id)
}

// dismiss has a member leave as soon as it holds nothing.
func (m *Members) dismiss(ctx context.Context, id proto.NodeID) error {
	_, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		r := Find(all, id)
		if r == nil || r.State == pontoonpb.NodeState_NODE_REMOVED {
			return nil, nil
		}
		next := clone(r)
		next.State, next.Leaving = pontoonpb.NodeState_NODE_DRAINING, true
		return next, nil
	})
	return err
}

// awaitRemoved gives a leaving member a moment.
func (m *Members) awaitRemoved(ctx context.Context, id proto.NodeID) bool {
	ctx, cancel := context.WithTimeout(ctx, leaveWait)
	defer cancel()
	poll := time.NewTicker(leaveWait / 30)
	defer poll.Stop()
	for {
		if m.opts.Cache.Refresh(ctx) == nil && m.opts.Cache.Removed(id) {
			return true
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return false
		}
	}
}

// bury marks a member as removed.
func (m *Members) bury(ctx context.Context, id proto.NodeID) error {
	_, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		r := Find(all, id)
		if r == nil || r.State == pontoonpb.NodeState_NODE_REMOVED {
			return nil, nil
		}
		next := clone(r)
		next.State, next.Leaving = pontoonpb.NodeState_NODE_REMOVED, false
		return next, nil
	})
	if err == nil {
		m.opts.Logger.Info("node removed for good", "node", uint64(id))
	}
	return err
}

// Leave is etcd's MemberRemove. A member without replicas is gone at once, and
// so is a dead one that no range needs for a quorum. One that lives is emptied
// first: to clients it is gone, and it stops when it is empty (M4).
func (m *Members) Leave(ctx context.Context, id proto.NodeID) error {
	live := m.opts.Observer.Live(id)
	leaving, err := m.change(ctx, func(all []*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error) {
		r, err := find(all, id)
		if err != nil {
			return nil, err
		}
		if m.opts.Limits.Strict {
			if err := mayRemove(all, r, live, m.opts.Observer.Steady); err != nil {
				return nil, err
			}
		}
		if r.Name == "" || r.Learner || !live {
			return nil, nil
		}
		if !holderBeside(all, id) {
			return nil, errNotEnoughStarted
		}
		next := clone(r)
		next.State, next.Leaving = pontoonpb.NodeState_NODE_DRAINING, true
		return next, nil
	})
	if err != nil {
		return err
	}
	if leaving == nil {
		if err := m.quorate(ctx, id); err != nil {
			var re *proto.RangeError
			if errors.As(err, &re) && re.Code == pontoonpb.RangeErrorCode_REFUSED {
				return rpctypes.ErrGRPCUnhealthy
			}
			return err
		}
		return m.bury(ctx, id)
	}
	m.awaitRemoved(ctx, id)
	return nil
}

// Settle removes the leaving members that died so that all ranges can do
// without them, and those that answer but hang. It is called beside the root
// range's leader, by one goroutine.
func (m *Members) Settle(ctx context.Context) {
	if time.Since(m.settled) > hungAfter {
		clear(m.emptied) // another node looked meanwhile, and saw what is not known here
	}
	m.settled = time.Now()
	for _, r := range m.opts.Cache.Nodes() {
		id := proto.NodeID(r.NodeId)
		if !r.Leaving || r.State == pontoonpb.NodeState_NODE_REMOVED {
			delete(m.emptied, id)
			continue
		}
		if err := m.settle(ctx, id); err != nil && ctx.Err() == nil {
			m.opts.Logger.Debug("leaving node not removed yet", "node", r.NodeId, "error", err)
		}
	}
}

func (m *Members) settle(ctx context.Context, id proto.NodeID) error {
	if m.opts.Observer.Live(id) {
		if hung, err := m.hung(ctx, id); err != nil || !hung {
			return err
		}
		m.opts.Logger.Warn("node does not take its leave, and is removed without", "node", uint64(id))
	} else if err := m.quorate(ctx, id); err != nil {
		return err
	}
	return m.bury(ctx, id)
}

// TakeLeave removes this node if it is to leave and holds nothing: farewell is
// called before, and sends its clients elsewhere. It reports whether the node is
// gone.
func (m *Members) TakeLeave(ctx context.Context, self proto.NodeID, farewell func()) (bool, error) {
	if r := m.opts.Cache.Node(self); r == nil || !r.Leaving || r.State == pontoonpb.NodeState_NODE_REMOVED {
		return false, nil
	}
	if n, err := m.held(ctx, self); err != nil || n > 0 {
		return false, err
	}
	farewell()
	return true, m.bury(ctx, self)
}

// change decides over the records, writes, and lets this node know at once.
func (m *Members) change(ctx context.Context, fn func([]*pontoonpb.NodeRecord) (*pontoonpb.NodeRecord, error)) (*pontoonpb.NodeRecord, error) {
	written, err := m.opts.Records.Decide(ctx, fn)
	if written != nil && err == nil {
		m.opts.Cache.Note(written)
	}
	return written, err
}

// standing refuses an operator's command on what is no member.
func standing(r *pontoonpb.NodeRecord, id proto.NodeID) error {
	switch {
	case r == nil:
		return refused("node %x is not a member of the cluster", uint64(id))
	case r.State == pontoonpb.NodeState_NODE_REMOVED:
		return refused("node %s was removed for good", r.Name)
	}
	return nil
}

func refused(format string, args ...any) error {
	return proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, format, args...)
}
