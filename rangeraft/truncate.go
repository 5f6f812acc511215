package rangeraft

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
)

// maybeTruncate proposes to drop the part of the log that nobody needs: the
// sooner, the more of it dies in memory. A replica that lags by more than
// LogEntriesMax is left to a raft snapshot.
func (r *Replica) maybeTruncate() {
	log := r.s.opts.Engine.Log(r.id)
	first, err := log.FirstIndex()
	if err != nil {
		return
	}
	applied := uint64(r.state.Index)
	r.ledTicks++
	size := r.size.applied.Load()
	r.truncatedAt = min(r.truncatedAt, size) // a split shares what was applied
	large := size-r.truncatedAt >= r.s.opts.LogBytes
	if !large && applied < first+r.s.opts.LogEntries {
		return
	}
	if r.ledTicks < r.nextTruncate && first <= r.truncatingTo {
		return
	}
	target := applied
	r.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch {
		case id == uint64(r.replicaID):
		case pr.Match == 0 && (pr.RecentActive || applied-first <= r.s.opts.LogEntriesMax):
			// It has not said to this leader how far it is. One that is away had what
			// an earlier leader dropped, and returns to the rest.
			target = 0
		case pr.State == tracker.StateSnapshot:
			target = min(target, pr.PendingSnapshot)
		case applied-min(pr.Match, applied) <= r.s.opts.LogEntriesMax:
			target = min(target, pr.Match)
		}
	})
	for _, o := range r.sending {
		target = min(target, uint64(o.index))
	}
	if target < first || !large && target < first+r.s.opts.LogEntries/2 {
		return
	}
	term, err := log.Term(target)
	if err != nil {
		return
	}
	// Its fate shows in the log; if it was dropped it is proposed again later.
	r.nextTruncate = r.ledTicks + r.s.opts.ElectionTicks
	r.truncatingTo, r.truncatedAt = target, size
	r.ev.Truncate(proto.Index(target), proto.Term(term))
}
