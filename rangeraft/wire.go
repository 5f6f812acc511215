package rangeraft

import (
	"context"
	"errors"
	"log/slog"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/storage"
)

// wire is the store as the transport sees it.
type wire struct{ s *Store }

var _ transport.Handler = wire{}

// RaftFrame implements transport.Handler.
func (w wire) RaftFrame(from proto.NodeID, stream uint64, f *pontoonpb.RaftFrame) {
	for _, wrapped := range f.Messages {
		m, err := decodeMessage(wrapped.Message)
		if err != nil {
			w.s.log.Warn("raft message not understood", slog.Uint64("node", uint64(from)), slog.Any("error", err))
			continue
		}
		if m.GetType() == raftpb.MsgSnap {
			continue // comes with its data
		}
		if r := w.s.receiver(from, wrapped, m); r != nil {
			r.receive(m)
		}
	}
	w.s.closing.received(from, stream, f.Closed)
	w.s.sleepers.take(from, stream, f.Liveness)
	if f.PushRevision > 0 {
		w.s.closing.push(proto.Revision(f.PushRevision))
	}
}

// RaftStreamEnded implements transport.Handler.
func (w wire) RaftStreamEnded(from proto.NodeID, stream uint64) {
	w.s.closing.ended(from, stream)
	w.s.sleepers.ended(from, stream)
}

// Liveness implements transport.Handler.
func (w wire) Liveness(to proto.NodeID, fresh bool) *pontoonpb.Liveness {
	return w.s.sleepers.message(to, fresh)
}

// ClosedUpdates implements transport.Handler.
func (w wire) ClosedUpdates(to proto.NodeID, fresh bool) []*pontoonpb.ClosedUpdate {
	return w.s.closing.updates(to, fresh)
}

// Do implements transport.Handler.
func (w wire) Do(ctx context.Context, op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	if !wellFormed(op) {
		return refusal(proto.Errorf(pontoonpb.RangeErrorCode_REFUSED, "operation is not complete"))
	}
	return w.s.Do(ctx, op)
}

// Snapshot implements transport.Handler.
func (w wire) Snapshot(ctx context.Context, header *pontoonpb.SnapshotHeader, next func() ([]byte, error)) error {
	return w.s.receiveSnapshot(ctx, header, next)
}

// SnapshotHave implements transport.Handler.
func (w wire) SnapshotHave(header *pontoonpb.SnapshotHeader) int64 {
	return w.s.sessions.have(proto.RangeID(header.GetDesc().GetRangeId()), header.Session)
}

// OpenFeed implements transport.Handler.
func (w wire) OpenFeed(ctx context.Context, req *pontoonpb.FeedRequest) (transport.Feed, error) {
	return w.s.OpenFeed(ctx, req)
}

// receiver returns the replica that a message is for, nil to drop it. A
// message of a leader makes an uninitialised replica of a range that this node
// knows nothing of, so that a raft snapshot can follow. So does one of a candidate:
// the right side of a split that this node slept through may have no leader
// without its vote. A node that lost its data does not come this far (package node).
func (s *Store) receiver(from proto.NodeID, wrapped *pontoonpb.RaftMessage, m *raftpb.Message) *Replica {
	id, to := proto.RangeID(wrapped.RangeId), proto.ReplicaID(wrapped.ToReplica)
	s.mu.RLock()
	r := s.replicas[id]
	s.mu.RUnlock()
	if r == nil {
		if !fromLeader(m) && !fromCandidate(m) {
			return nil
		}
		var err error
		if r, err = s.uninitialised(id, to); err != nil {
			level := slog.LevelWarn
			if errors.Is(err, storage.ErrTombstone) {
				level = slog.LevelDebug // a peer that has not heard yet goes on for a while
			}
			s.log.Log(context.Background(), level, "replica not made", slog.Uint64("range", uint64(id)), slog.Any("error", err))
			return nil
		}
		if r == nil {
			return nil
		}
	}
	if r.replicaID != to {
		if r.replicaID < to && fromLeader(m) {
			r.outlived(to)
		}
		return nil
	}
	r.learnPeer(m.GetFrom(), from)
	if r.awaitsSplit(m) {
		return nil
	}
	return r
}

// awaitsSplit reports whether a message is the first append of a range that a
// split made elsewhere, and this node is about to apply that split. To refuse it
// would bring a raft snapshot of what is here already, and an ingest and a flush
// with it: on a busy node with every split. The leader repeats it.
func (r *Replica) awaitsSplit(m *raftpb.Message) bool {
	return r.desc.Load() == nil && m.GetType() == raftpb.MsgApp &&
		proto.Index(m.GetIndex()) == firstIndex && proto.Term(m.GetLogTerm()) == firstTerm &&
		r.s.opts.Now() < r.made.Add(splitElections*r.s.opts.electionTimeout())
}

// splitElections is how many election timeouts a replica may wait for the split
// that fills it.
const splitElections = 2

func fromLeader(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		return true
	}
	return false
}

func fromCandidate(m *raftpb.Message) bool {
	return m.GetType() == raftpb.MsgVote || m.GetType() == raftpb.MsgPreVote
}

// uninitialised makes a replica without data; nil if another goroutine has
// something to say about the range right now.
func (s *Store) uninitialised(id proto.RangeID, self proto.ReplicaID) (*Replica, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.splitting[id]; busy || s.stopped {
		return nil, nil
	}
	if r := s.replicas[id]; r != nil {
		return r, nil
	}
	// Under the lock: a replica that has just gone left its tombstone before.
	next, err := s.opts.Engine.Tombstone(id)
	if err != nil {
		return nil, err
	}
	if self < next {
		return nil, storage.ErrTombstone
	}
	if self == 0 {
		return nil, errors.New("replica id is zero")
	}
	r, err := s.newReplica(id, self, !s.opts.Fresh)
	if err != nil {
		return nil, err
	}
	s.addLocked(r)
	return r, nil
}
