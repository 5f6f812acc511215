package rangeraft

import (
	"errors"
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3/raftpb"
	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/evaluator"
	"github.com/pontoon-kv/pontoon/storage"
)

// errOtherChange: raft still sees another configuration change in its log.
var errOtherChange = errors.New("raft holds another configuration change")

// proposeChange hands a replica change to raft as a configuration change whose
// context is the command (P12).
func (r *Replica) proposeChange(cmd *pontoonpb.Command, data []byte) error {
	old := r.desc.Load()
	cc := &raftpb.ConfChangeV2{Context: data}
	for _, part := range confChanges(old, changedDescriptor(old, cmd.Change)) {
		cc.Changes = append(cc.Changes, part.Changes...)
		cc.Transition = part.Transition
	}
	b, err := goproto.Marshal(cc)
	if err != nil {
		return err
	}
	m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(uint64(r.replicaID)),
		Entries: []*raftpb.Entry{{Type: raftpb.EntryConfChangeV2.Enum(), Data: b}}}
	if err := r.rn.Step(m); err != nil {
		return err
	}
	// raft puts an empty entry in the place of a change that it refuses.
	if m.Entries[0].GetType() != raftpb.EntryConfChangeV2 {
		return errOtherChange
	}
	return nil
}

// commandOf decodes what an entry carries; nil for an empty one.
func commandOf(e *raftpb.Entry) (*pontoonpb.Command, error) {
	data := e.GetData()
	if e.GetType() == raftpb.EntryConfChangeV2 {
		cc := &raftpb.ConfChangeV2{}
		if err := goproto.Unmarshal(data, cc); err != nil {
			return nil, err
		}
		data = cc.Context
	}
	if len(data) == 0 {
		return nil, nil
	}
	cmd := &pontoonpb.Command{}
	if err := cmd.UnmarshalVT(data); err != nil {
		return nil, err
	}
	if (cmd.Change != nil) != (e.GetType() == raftpb.EntryConfChangeV2) {
		return nil, fmt.Errorf("entry of type %v does not go with its command", e.GetType())
	}
	return cmd, nil
}

// changedDescriptor is the descriptor after a change.
func changedDescriptor(d *pontoonpb.Descriptor, c *pontoonpb.ReplicaChange) *pontoonpb.Descriptor {
	next := goproto.CloneOf(d)
	next.Generation++
	next.Replicas, next.NextReplicaId = c.Replicas, c.NextReplicaId
	return next
}

// confChanges is how raft's configuration gets from one descriptor to the next:
// into a joint one and out of it in one step each, else replica by replica.
func confChanges(old, next *pontoonpb.Descriptor) []*raftpb.ConfChangeV2 {
	if evaluator.Joint(old) {
		return []*raftpb.ConfChangeV2{{}}
	}
	var singles []*raftpb.ConfChangeSingle
	add := func(t raftpb.ConfChangeType, id uint64) {
		singles = append(singles, &raftpb.ConfChangeSingle{Type: t.Enum(), NodeId: &id})
	}
	votes := func(d *pontoonpb.Descriptor, id uint64) (votes, member bool) {
		for _, rep := range d.Replicas {
			if rep.ReplicaId == id {
				return rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER || rep.Role == pontoonpb.ReplicaRole_REPLICA_INCOMING, true
			}
		}
		return false, false
	}
	for _, rep := range next.Replicas {
		did, was := votes(old, rep.ReplicaId)
		does, _ := votes(next, rep.ReplicaId)
		switch {
		case was && did == does:
		case does:
			add(raftpb.ConfChangeAddNode, rep.ReplicaId)
		default:
			add(raftpb.ConfChangeAddLearnerNode, rep.ReplicaId)
		}
	}
	for _, rep := range old.Replicas {
		if _, stays := votes(next, rep.ReplicaId); !stays {
			add(raftpb.ConfChangeRemoveNode, rep.ReplicaId)
		}
	}
	if evaluator.Joint(next) {
		return []*raftpb.ConfChangeV2{{Transition: raftpb.ConfChangeTransitionJointExplicit.Enum(), Changes: singles}}
	}
	var steps []*raftpb.ConfChangeV2
	for _, s := range singles {
		steps = append(steps, &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{s}})
	}
	return steps
}

// applyChange sets the descriptor and, as the command was accepted, raft's
// configuration. It is called for accepted commands only: a refused one changes
// neither (P12).
func (r *Replica) applyChange(batch *storage.Batch, a *applied) error {
	old := r.desc.Load()
	next := changedDescriptor(old, a.cmd.Change)
	if err := batch.SetDescriptor(next); err != nil {
		return err
	}
	var cs *raftpb.ConfState
	for _, cc := range confChanges(old, next) {
		cs = r.rn.ApplyConfChange(cc)
	}
	if want := storage.ConfState(next); cs != nil {
		if err := want.Equivalent(cs); err != nil {
			return fmt.Errorf("raft and descriptor differ: %w", err)
		}
	}
	if r.leading {
		r.lease.SetVoters(r.voters()) // the lease is over raft's quorums (P3 to P5)
	}
	r.lease.SetLeaving(r.s.leavers.of(next))
	a.desc, a.removed = next, nodeOf(next, r.replicaID) == 0
	// Entries of this batch that follow are measured by the new generation.
	r.desc.Store(next)
	return nil
}

// changeDone follows a change that became visible.
func (r *Replica) changeDone(d *pontoonpb.Descriptor) {
	r.setDescriptor(d)
	r.log.Info("replicas changed", slog.Uint64("generation", d.Generation), slog.Any("replicas", d.Replicas))
	r.hub.Narrow(r.span(), d.Generation, d)
	if !r.leading {
		return
	}
	r.leaveClosed() // it enters again, for the nodes that are in now
	r.leaseRenewed()
	r.tellDirectory(d)
}

// removed reports whether a descriptor of the range leaves a replica out for
// good: its id was given out and is not in use.
func removed(d *pontoonpb.Descriptor, id proto.ReplicaID) bool {
	return uint64(id) < d.GetNextReplicaId() && nodeOf(d, id) == 0
}
