package rangeraft

import (
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// outgoing is a raft snapshot under way to a replica.
type outgoing struct {
	index proto.Index // that raft asked for: the log is kept from there
	bytes atomic.Int64
	total atomic.Int64 // estimate
}

// progress is what a leader knows of the other replicas; nil elsewhere.
func (r *Replica) progress(d *pontoonpb.Descriptor) []*pontoonpb.ReplicaProgress {
	if r.servingTerm.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.leading {
		return nil
	}
	var out []*pontoonpb.ReplicaProgress
	known := map[uint64]tracker.Progress{}
	r.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) { known[id] = pr })
	for _, rep := range d.Replicas {
		pr, ok := known[rep.ReplicaId]
		if !ok {
			continue
		}
		p := &pontoonpb.ReplicaProgress{
			ReplicaId: rep.ReplicaId, NodeId: rep.NodeId, Match: pr.Match, Active: r.active(rep, pr),
			Snapshot: pr.State == tracker.StateSnapshot,
		}
		if o := r.sending[proto.ReplicaID(rep.ReplicaId)]; o != nil {
			p.Snapshot, p.SnapshotBytes, p.SnapshotTotal = true, o.bytes.Load(), o.total.Load()
		}
		out = append(out, p)
	}
	return out
}
