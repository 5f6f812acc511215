package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
)

// DefaultBump is how far beyond every revision known here the numbers go on when
// the root range is recovered: the lost nodes may have handed out more.
const DefaultBump = 1_000_000

// generations is how far the generation of what is recovered goes beyond every
// one known here: the lost nodes may have split, merged and moved.
const generations = 1000

// RecoverOptions say what to recover.
type RecoverOptions struct {
	DataDir string
	// Lost are the nodes that never come back, by name or id. Needed: only a range
	// that has no majority without them is recovered.
	Lost   []string
	Ranges []proto.RangeID // none: every range that lost its majority
	Bump   int64           // 0: DefaultBump
	// DespiteQuorum takes Lost on faith although one of them answers, and recovers
	// ranges that are named although they have a majority.
	DespiteQuorum bool
	Write         bool // else only tell what would be done
}

// Recovered is what was done, or would be.
type Recovered struct {
	Owner
	Written bool             `json:"written"`
	Ranges  []RecoveredRange `json:"ranges"`
	Quorate []uint64         `json:"quorate"` // ranges here that need nothing
	Missing []MissingRange   `json:"missing"` // keys that this node has no replica of, and nobody serves
	// NextRevision is where numbers go on; 0: the root range is not recovered.
	NextRevision int64 `json:"next_revision,omitempty"`
}

// RecoveredRange is one range.
type RecoveredRange struct {
	ID         uint64    `json:"range_id"`
	Start      string    `json:"start"`
	End        string    `json:"end"`
	Before     []Replica `json:"replicas_before"`
	Survivors  []string  `json:"other_survivors"` // nodes with a replica, which may have more of the log
	Generation uint64    `json:"generation"`
	Applied    uint64    `json:"applied"`
	Commit     uint64    `json:"commit"`
	Last       uint64    `json:"last"`
	Uncertain  int       `json:"uncertain_entries"` // taken for committed
	Dropped    int       `json:"dropped_entries"`
	Learner    bool      `json:"was_learner"` // it may have been far behind
}

// Recover makes this node's replicas the only ones of their ranges, where the
// lost nodes took the majority with them.
func Recover(ctx context.Context, o RecoverOptions) (*Recovered, error) {
	if len(o.Lost) == 0 {
		return nil, errors.New("no node is named as lost, so nothing is to be recovered")
	}
	if o.Bump < 0 {
		return nil, fmt.Errorf("revisions cannot go back by %d", -o.Bump)
	}
	if o.Write { // what is refused leaves the directory as it is (I2)
		plan := o
		plan.Write = false
		if _, err := Recover(ctx, plan); err != nil {
			return nil, err
		}
	}
	e, d, err := open(o.DataDir, !o.Write)
	if err != nil {
		return nil, err
	}
	r := recovery{RecoverOptions: o, datadir: d, engine: e, out: &Recovered{Owner: d.Owner, Written: o.Write,
		Ranges: []RecoveredRange{}, Quorate: []uint64{}, Missing: []MissingRange{}}}
	if err := errors.Join(r.run(ctx), e.Close()); err != nil {
		return nil, err
	}
	return r.out, nil
}

// recovery is one run of Recover.
type recovery struct {
	RecoverOptions
	datadir
	engine   *storage.Engine
	states   []storage.RangeState    // of this node's replicas
	recorded []*pontoonpb.Descriptor // of all ranges, if the root range is here
	lost     nodeSet
	known    known
	out      *Recovered
}

func (r *recovery) run(ctx context.Context) (err error) {
	if r.states, err = r.engine.Ranges(); err != nil {
		return err
	}
	if r.recorded, err = recordedRanges(r.engine); err != nil {
		return err
	}
	if r.lost, err = r.lostNodes(r.Lost, r.states); err != nil {
		return err
	}
	if !r.DespiteQuorum {
		if err := r.silent(ctx, r.lost); err != nil {
			return err
		}
	}
	todo, err := r.choose()
	if err != nil {
		return err
	}
	r.out.Missing = missing(r.states, r.recorded, r.lost, r.names)
	if r.known, err = survey(r.engine, r.states, r.recorded); err != nil {
		return err
	}
	// All are looked at before the first is written (I3).
	for _, dry := range []bool{true, false} {
		if !dry && !r.Write {
			return nil
		}
		for _, st := range todo {
			if err := r.one(st, dry); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose returns the ranges to recover.
func (r *recovery) choose() (todo []storage.RangeState, err error) {
	for _, id := range r.Ranges {
		if !slices.ContainsFunc(r.states, func(st storage.RangeState) bool { return st.ID() == id && holds(st.Descriptor, r.self) }) {
			return nil, fmt.Errorf("range %d has no replica here: %w", id, storage.ErrRangeNotFound)
		}
	}
	for _, st := range r.states {
		named := slices.Contains(r.Ranges, st.ID())
		if len(r.Ranges) > 0 && !named || !holds(st.Descriptor, r.self) {
			continue
		}
		now := newest(st.Descriptor, r.recorded)
		switch {
		case !quorate(now, r.lost), named && r.DespiteQuorum:
			todo = append(todo, st)
		case named:
			return nil, fmt.Errorf("range %d has a majority of its replicas without the lost nodes, on %v: "+
				"start them, and it is served as it is", st.ID(), r.names(voters(now, r.lost)))
		default:
			r.out.Quorate = append(r.out.Quorate, st.Descriptor.RangeId)
		}
	}
	return todo, nil
}

func (r *recovery) one(st storage.RangeState, dry bool) error {
	o := rangeraft.RecoverOptions{Engine: r.engine, Self: r.self, Range: st.ID(), Generation: r.known.generation + generations, Dry: dry}
	if st.ID() == proto.RootRange {
		var next proto.Revision
		next, o.Records = r.known.records(r.Bump)
		r.out.NextRevision = int64(next)
	}
	did, err := rangeraft.Recover(o)
	if err != nil || !dry {
		return err
	}
	out := RecoveredRange{
		ID: did.Before.RangeId, Start: text(did.Before.Span.GetStart()), End: text(did.Before.Span.GetEnd()),
		Before: replicas(did.Before), Survivors: []string{}, Generation: did.After.Generation, Applied: uint64(did.Applied),
		Commit: uint64(did.Commit), Last: uint64(did.Last), Uncertain: did.Tail, Dropped: did.Dropped,
	}
	for _, rep := range did.Before.Replicas {
		switch n := proto.NodeID(rep.NodeId); {
		case n == r.self:
			out.Learner = rep.Role == pontoonpb.ReplicaRole_REPLICA_LEARNER
		case !r.lost[n]:
			out.Survivors = append(out.Survivors, r.name(n))
		}
	}
	r.out.Ranges = append(r.out.Ranges, out)
	return nil
}
