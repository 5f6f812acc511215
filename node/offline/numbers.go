package offline

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pontoon-kv/pontoon/placement/sequencer"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// rangeIDs is how far new range ids go beyond every one known here.
const rangeIDs = 10_000

// known are the highest numbers that this node knows of. What the root range
// gave out last may be in the lost replicas only, while its users are here.
type known struct {
	revision   proto.Revision
	floor      proto.Revision
	rangeID    proto.RangeID
	generation uint64
}

// survey looks at everything that bears a number: what ranges closed, their
// logs, the records of the root range.
func survey(e *storage.Engine, states []storage.RangeState, recorded []*pontoonpb.Descriptor) (known, error) {
	k := known{revision: proto.FirstRevision, floor: proto.NeverCompacted}
	for _, d := range recorded {
		k.sawRange(d)
	}
	for _, st := range states {
		k.sawRange(st.Descriptor)
		k.revision = max(k.revision, st.Applied.Closed)
		k.floor = max(k.floor, st.Applied.Floor)
		if err := rangeraft.LogCommands(e, st.ID(), k.saw); err != nil {
			return k, err
		}
	}
	view, err := e.NewView()
	if err != nil {
		return k, err
	}
	for _, key := range [][]byte{keys.SequencerLimit, keys.NextRangeID, keys.Floor} {
		value, ok, gerr := view.GetLocal(pontoonpb.Space_SPACE_SYS, key, nil)
		if err = gerr; err == nil && ok {
			err = k.sawRecord(key, value)
		}
		if err != nil {
			break
		}
	}
	return k, errors.Join(err, view.Close())
}

func (k *known) sawRange(d *pontoonpb.Descriptor) {
	k.rangeID = max(k.rangeID, proto.RangeID(d.RangeId))
	k.generation = max(k.generation, d.Generation)
}

func (k *known) saw(cmd *pontoonpb.Command) error {
	k.revision = max(k.revision, proto.Revision(cmd.Closed))
	k.generation = max(k.generation, cmd.Generation)
	k.rangeID = max(k.rangeID, proto.RangeID(cmd.GetSplit().GetRightRangeId()))
	for _, ef := range cmd.Effects {
		local := ef.Kind == pontoonpb.EffectKind_EFFECT_LOCAL_PUT && ef.Space == pontoonpb.Space_SPACE_SYS
		switch {
		case local:
			if err := k.sawRecord(ef.Key, ef.Value); err != nil {
				return err
			}
		case ef.Kind == pontoonpb.EffectKind_EFFECT_FLOOR:
			k.floor = max(k.floor, proto.Revision(ef.Rev))
		default:
			k.revision = max(k.revision, proto.Revision(ef.Rev))
		}
	}
	return nil
}

func (k *known) sawRecord(key, value []byte) error {
	switch string(key) {
	case string(keys.SequencerLimit):
		limit, err := sequencer.DecodeLimit(value)
		k.revision = max(k.revision, limit)
		return err
	case string(keys.NextRangeID), string(keys.Floor):
		if len(value) != 8 {
			return fmt.Errorf("record %s has %d bytes", text(key), len(value))
		}
		n := binary.BigEndian.Uint64(value)
		if string(key) == string(keys.Floor) {
			k.floor = max(k.floor, proto.Revision(n))
		} else {
			k.rangeID = max(k.rangeID, proto.RangeID(n))
		}
	}
	return nil
}

// records are what a recovered root range goes on with: no revision and no range
// id is given a second time, and what a range has dropped counts as compacted.
func (k *known) records(bump int64) (next proto.Revision, list []*pontoonpb.SysRecord) {
	if bump == 0 {
		bump = DefaultBump
	}
	limit := k.revision + proto.Revision(bump)
	list = []*pontoonpb.SysRecord{
		{Key: keys.SequencerLimit, Value: sequencer.EncodeLimit(limit)},
		{Key: keys.NextRangeID, Value: binary.BigEndian.AppendUint64(nil, uint64(k.rangeID)+rangeIDs)},
	}
	if k.floor > proto.NeverCompacted {
		list = append(list, &pontoonpb.SysRecord{Key: keys.Floor, Value: binary.BigEndian.AppendUint64(nil, uint64(k.floor))})
	}
	return limit + 1, list
}
