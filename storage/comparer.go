package storage

import (
	"bytes"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// comparer is stored by name in every table and must never change.
var comparer = &pebble.Comparer{
	Name:                 "pontoon.v1",
	Split:                enginekey.Split,
	Compare:              enginekey.Compare,
	Equal:                enginekey.Equal,
	ComparePointSuffixes: bytes.Compare,
	CompareRangeSuffixes: bytes.Compare,
	AbbreviatedKey:       enginekey.Abbreviate,
	Separator:            enginekey.Separator,
	Successor:            enginekey.Successor,
	ImmediateSuccessor:   enginekey.ImmediateSuccessor,
	ValidateKey:          enginekey.Validate,
	FormatKey:            pebble.DefaultComparer.FormatKey,
}

// revisionProperty is the interval of the revisions in a block.
const revisionProperty = "pontoon.revision"

// revisionMapper maps versions to their revision and everything else to
// nothing. It looks at the key alone, so a deletion falls into the same
// interval as what it deletes.
type revisionMapper struct{}

func (revisionMapper) MapPointKey(key pebble.InternalKey, _ []byte) (sstable.BlockInterval, error) {
	t, _, suffix, ok := enginekey.Decode(key.UserKey)
	if !ok || t != enginekey.Versions {
		return sstable.BlockInterval{}, nil
	}
	rev, _, ok := enginekey.Position(suffix)
	if !ok {
		return sstable.BlockInterval{Lower: 0, Upper: math.MaxUint64}, nil
	}
	return sstable.BlockInterval{Lower: uint64(rev), Upper: uint64(rev) + 1}, nil
}

func (revisionMapper) MapRangeKeys(sstable.Span) (sstable.BlockInterval, error) {
	return sstable.BlockInterval{}, nil
}

func newRevisionCollector() pebble.BlockPropertyCollector {
	return sstable.NewBlockIntervalCollector(revisionProperty, revisionMapper{}, nil)
}

// revisionFilter skips blocks without a version in [from, to]. It is inexact:
// readers filter again (P24).
func revisionFilter(from, to proto.Revision) []pebble.BlockPropertyFilter {
	f := sstable.NewBlockIntervalFilter(revisionProperty, uint64(max(from, 0)), uint64(max(to, 0))+1, nil)
	return append(make([]pebble.BlockPropertyFilter, 0, 2), f)
}
