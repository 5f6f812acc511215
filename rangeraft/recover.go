package rangeraft

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// recoveryIDs is how many replica ids a recovery passes over: the lost nodes may
// have given out more than are known here.
const recoveryIDs = 1000

// RecoverOptions say which replica becomes the only one of its range.
type RecoverOptions struct {
	Engine *storage.Engine // of a node that does not run
	Self   proto.NodeID
	Range  proto.RangeID
	// Generation is the range's from now on. It is beyond any that a lost replica
	// may have applied and told the directory; ranges that are recovered together
	// have the same, so that a merge in one's log is still newer than the other.
	Generation uint64
	// Records are written at the end of the log, as its last entry.
	Records []*pontoonpb.SysRecord
	Dry     bool // only tell
}

// Recovery is what recovering a range without its quorum does to it.
type Recovery struct {
	Before, After *pontoonpb.Descriptor
	Applied       proto.Index
	Commit        proto.Index // known here to be committed; the lost nodes may have known more
	Last          proto.Index
	// Tail counts entries beyond Commit that are kept: nobody can tell any more
	// whether they were committed.
	Tail int
	// Dropped counts entries beyond Commit that go: they come after the taking in
	// of a neighbour, which must not happen if it was not committed.
	Dropped int
}

// Recover makes the replica on a node the only one of its range: what is left
// of a range that lost its quorum for good. Its log is kept and will be
// committed as a whole, without the changes of replicas that are in it.
//
// The replica takes a new id. To the old ones, should they ever run again, it is
// a stranger: what their leader sends to the old id is dropped, and by the
// descriptor they are removed.
//
// Raft's promises end here. Writes that only lost replicas had are gone, and so
// are answers given from them.
func Recover(o RecoverOptions) (*Recovery, error) {
	log := o.Engine.Log(o.Range)
	desc := log.Descriptor()
	if desc == nil {
		return nil, fmt.Errorf("range %d: %w", o.Range, storage.ErrRangeNotFound)
	}
	if _, ok := replicaOn(desc, o.Self); !ok {
		return nil, fmt.Errorf("range %d: its descriptor has no replica of node %x", o.Range, uint64(o.Self))
	}
	if o.Generation <= desc.Generation {
		return nil, fmt.Errorf("range %d: it is of generation %d already", o.Range, desc.Generation)
	}
	own := desc.NextReplicaId + recoveryIDs
	r := &Recovery{Before: desc, After: goproto.CloneOf(desc)}
	r.After.Generation, r.After.NextReplicaId = o.Generation, own+1
	r.After.Replicas = []*pontoonpb.Replica{{NodeId: uint64(o.Self), ReplicaId: own, Role: pontoonpb.ReplicaRole_REPLICA_VOTER}}
	hs, _, err := log.InitialState()
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	if err != nil {
		return nil, err
	}
	st := log.Applied()
	r.Applied, r.Commit, r.Last = st.Index, proto.Index(hs.GetCommit()), proto.Index(last)
	tail, err := r.tail(log, st)
	if err != nil {
		return nil, fmt.Errorf("range %d: %w", o.Range, err)
	}
	// An entry of a leader of the next term, as this replica could have been one.
	term, end := hs.GetTerm()+1, uint64(r.Applied)+uint64(len(tail))
	if len(o.Records) > 0 {
		ent, err := recordsEntry(term, end+1, r.After.Generation, o.Records)
		if err != nil {
			return nil, err
		}
		tail = append(tail, ent)
	}
	if o.Dry {
		return r, nil
	}
	batch := o.Engine.NewBatch()
	defer batch.Close()
	next := &raftpb.HardState{Term: &term, Vote: &own, Commit: new(min(hs.GetCommit(), end))}
	if err := batch.ReplaceTail(o.Range, r.After, tail, next); err != nil {
		return nil, err
	}
	return r, batch.Commit(true)
}

// tail returns the log beyond the applied state st as it goes on under the new
// descriptor.
func (r *Recovery) tail(log *storage.Log, st storage.AppliedState) ([]*raftpb.Entry, error) {
	if r.Last == r.Applied {
		return nil, nil
	}
	ents, err := log.Entries(uint64(r.Applied)+1, uint64(r.Last)+1, 1<<62)
	if err != nil {
		return nil, err
	}
	re := rewriter{st: st, old: r.Before.Generation, new: r.After.Generation}
	out := make([]*raftpb.Entry, 0, len(ents))
	for i, e := range ents {
		uncertain := proto.Index(e.GetIndex()) > r.Commit
		next, err := re.entry(e, uncertain)
		if err != nil {
			return nil, fmt.Errorf("log entry %d: %w", e.GetIndex(), err)
		}
		if next == nil {
			r.Dropped = len(ents) - i
			break
		}
		if uncertain {
			r.Tail++
		}
		out = append(out, next)
	}
	return out, nil
}

// rewriter goes through a log as applying it would (P12) and writes what is
// accepted anew, for a range whose generation and replicas are others now.
type rewriter struct {
	st       storage.AppliedState // only what accepts looks at
	old, new uint64               // generation at this place of the log, before and now
}

// entry returns what takes the place of e; nil: nothing may from here on.
func (w *rewriter) entry(e *raftpb.Entry, uncertain bool) (*raftpb.Entry, error) {
	next := &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Term: e.Term, Index: e.Index}
	cmd, err := commandOf(e)
	if err != nil {
		return nil, err
	}
	if cmd == nil || !accepts(&w.st, &pontoonpb.Descriptor{Generation: w.old}, proto.Term(e.GetTerm()), cmd) {
		return next, nil // without effect, as before
	}
	trigger := cmd.Merge.GetKind() == pontoonpb.MergeStep_TRIGGER
	if trigger && uncertain {
		// If it was not committed the right range may have gone on without it,
		// elsewhere. If it was, this one aborts the merge and the right range, which
		// lost its quorum with this one, goes on from where it froze.
		return nil, nil
	}
	cmd.Generation = w.new
	w.st.Batch, w.st.BatchTerm = cmd.Batch, proto.Term(e.GetTerm())
	switch {
	case cmd.Change != nil: // there is one replica
		cmd.Change = nil
		w.old++
	case cmd.Split != nil:
		w.old, w.new = w.old+1, w.new+1
	case trigger:
		right := cmd.Merge.GetRight().GetGeneration()
		w.old, w.new = max(w.old, right)+1, max(w.new, right)+1
	}
	next.Data, err = cmd.MarshalVT()
	return next, err
}

// recordsEntry is the first entry of a term, with SPACE_SYS records (P12).
func recordsEntry(term, index, generation uint64, records []*pontoonpb.SysRecord) (*raftpb.Entry, error) {
	cmd := &pontoonpb.Command{Term: term, Generation: generation, Batch: 1}
	for _, rec := range records {
		cmd.Effects = append(cmd.Effects, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT,
			Space: pontoonpb.Space_SPACE_SYS, Key: rec.Key, Value: rec.Value})
	}
	data, err := cmd.MarshalVT()
	if err != nil {
		return nil, err
	}
	return &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Term: &term, Index: &index, Data: data}, nil
}

// logChunk is how much of a log LogCommands has in memory at a time.
const logChunk = 4 << 20

// LogCommands calls fn for every command in the log of a range, applied or not.
func LogCommands(engine *storage.Engine, id proto.RangeID, fn func(*pontoonpb.Command) error) error {
	log := engine.Log(id)
	next, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	for err == nil && next <= last {
		var ents []*raftpb.Entry
		if ents, err = log.Entries(next, last+1, logChunk); err != nil {
			break
		}
		for _, e := range ents {
			cmd, err := commandOf(e)
			if err != nil {
				return fmt.Errorf("range %d: log entry %d: %w", id, e.GetIndex(), err)
			}
			if cmd == nil {
				continue
			}
			if err := fn(cmd); err != nil {
				return err
			}
		}
		next += uint64(len(ents))
	}
	return err
}
