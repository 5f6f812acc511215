package rangeraft

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// Seed is a range of a new cluster, as every replica of it begins.
type Seed struct {
	Desc *pontoonpb.Descriptor
	// Closed and Floor of its first applied state.
	Closed, Floor proto.Revision
	LiveKeys      int64
	Records       []*pontoonpb.SysRecord // first SPACE_SYS records
}

// Bootstrap writes the ranges of a new cluster into an empty engine, those
// with a replica on the node, durably and at once. Every node writes the same,
// so that logs and data agree without a word between them. records are the
// first SPACE_SYS records of the meta span.
func Bootstrap(engine *storage.Engine, self proto.NodeID, ranges []*pontoonpb.Descriptor, records []*pontoonpb.SysRecord) error {
	seeds := make([]Seed, len(ranges))
	for i, d := range ranges {
		seeds[i] = Seed{Desc: d, Closed: proto.FirstRevision, Floor: proto.NeverCompacted}
		for _, rec := range records {
			if proto.SpanOf(d.Span).Contains(rec.Key) {
				seeds[i].Records = append(seeds[i].Records, rec)
			}
		}
	}
	return BootstrapSeeds(engine, self, seeds)
}

// BootstrapSeeds is Bootstrap for ranges whose data may be in the engine
// already: it is addressed by key.
func BootstrapSeeds(engine *storage.Engine, self proto.NodeID, seeds []Seed) error {
	batch := engine.NewBatch()
	defer batch.Close()
	for _, s := range seeds {
		if err := s.write(batch, self); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	return batch.Commit(true)
}

func (s Seed) write(batch *storage.Batch, self proto.NodeID) error {
	id, ok := replicaOn(s.Desc, self)
	if !ok {
		return nil
	}
	st := storage.AppliedState{
		Index: firstIndex, Term: firstTerm, Closed: s.Closed, Floor: s.Floor, LiveKeys: s.LiveKeys,
	}
	err := batch.CreateRange(storage.RangeState{
		Descriptor: s.Desc, Truncated: storage.LogMark{Index: firstIndex, Term: firstTerm}, Applied: st,
	}, id)
	if err != nil {
		return err
	}
	var effects []*pontoonpb.Effect
	for _, rec := range s.Records {
		effects = append(effects, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT,
			Space: pontoonpb.Space_SPACE_SYS, Key: rec.Key, Value: rec.Value})
	}
	_, err = batch.Apply(proto.RangeID(s.Desc.RangeId), &st, effects)
	return err
}
