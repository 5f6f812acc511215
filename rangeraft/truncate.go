package rangeraft

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
)

// maybeTruncate proposes to drop the part of the log that nobody needs. A
// replica that lags by more than LogEntriesMax is left to a raft snapshot.
func (r *Replica) maybeTruncate() {
	log := r.s.opts.Engine.Log(r.id)
	first, err := log.FirstIndex()
	if err != nil {
		return
	}
	applied := uint64(r.state.Index)
	if applied < first+r.s.opts.LogEntries || uint64(r.truncating) >= first {
		return // short, or a truncation is under way
	}
	target := applied
	r.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch {
		case id == uint64(r.replicaID):
		case pr.State == tracker.StateSnapshot:
			target = min(target, pr.PendingSnapshot)
		case applied-min(pr.Match, applied) <= r.s.opts.LogEntriesMax:
			target = min(target, pr.Match)
		}
	})
	for _, index := range r.sending {
		target = min(target, uint64(index))
	}
	if target < first+r.s.opts.LogEntries/2 {
		return
	}
	term, err := log.Term(target)
	if err != nil {
		return
	}
	r.truncating = proto.Index(target)
	r.ev.Truncate(proto.Index(target), proto.Term(term))
}
