package rangeraft

import (
	"fmt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// Bootstrap writes the ranges of a new cluster into an empty engine, those
// with a replica on the node, durably and at once. Every node writes the same,
// so that logs and data agree without a word between them. records are the
// first SPACE_SYS records of the meta span.
func Bootstrap(engine *storage.Engine, self proto.NodeID, ranges []*pontoonpb.Descriptor, records []*pontoonpb.SysRecord) error {
	batch := engine.NewBatch()
	defer batch.Close()
	for _, d := range ranges {
		id, ok := replicaOn(d, self)
		if !ok {
			continue
		}
		st := storage.AppliedState{
			Index: firstIndex, Term: firstTerm, Closed: proto.FirstRevision, Floor: proto.NeverCompacted,
		}
		err := batch.CreateRange(storage.RangeState{
			Descriptor: d, Truncated: storage.LogMark{Index: firstIndex, Term: firstTerm}, Applied: st,
		}, id)
		if err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
		var effects []*pontoonpb.Effect
		for _, rec := range records {
			if proto.SpanOf(d.Span).Contains(rec.Key) {
				effects = append(effects, &pontoonpb.Effect{Kind: pontoonpb.EffectKind_EFFECT_LOCAL_PUT,
					Space: pontoonpb.Space_SPACE_SYS, Key: rec.Key, Value: rec.Value})
			}
		}
		if _, err := batch.Apply(proto.RangeID(d.RangeId), &st, effects); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	return batch.Commit(true)
}
