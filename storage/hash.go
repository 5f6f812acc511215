package storage

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/enginekey"
)

// HashResult is the order-independent hash of versions; parts of disjoint
// spans are added up (P43).
type HashResult struct {
	Hash     uint32
	Versions int64
}

// add adds one record of the logical content.
func (h *HashResult) add(sum uint64) {
	h.Hash += uint32(sum) ^ uint32(sum>>32)
	h.Versions++
}

// hasher hashes records without allocating per record.
type hasher struct {
	d   xxhash.Digest
	buf []byte
}

func (h *hasher) record(t enginekey.Tag, key, suffix, value []byte) uint64 {
	h.buf = append(h.buf[:0], byte(t))
	h.buf = binary.AppendUvarint(h.buf, uint64(len(key)))
	h.buf = append(h.buf, key...)
	h.buf = binary.AppendUvarint(h.buf, uint64(len(suffix)))
	h.buf = append(h.buf, suffix...)
	h.d.Reset()
	h.d.Write(h.buf)
	h.d.Write(value)
	return h.d.Sum64()
}

// version hashes what a version means, not how it is stored.
func (h *hasher) version(v *Version) uint64 {
	h.buf = append(h.buf[:0], byte(enginekey.Versions))
	h.buf = binary.AppendUvarint(h.buf, uint64(len(v.Key)))
	h.buf = append(h.buf, v.Key...)
	h.buf = binary.BigEndian.AppendUint64(h.buf, uint64(v.ModRevision))
	h.buf = binary.AppendUvarint(h.buf, uint64(v.Sub))
	head := *v
	head.Value = nil
	h.buf = appendVersion(h.buf, &head)
	h.d.Reset()
	h.d.Write(h.buf)
	h.d.Write(v.Value)
	return h.d.Sum64()
}

// Hash hashes the versions of the span that are logically visible at (floor,
// rev]: every version in there, each change of a key that one revision changed
// several times being one, and of each key the newest at or below floor if it
// is live. Dropping at or below floor does not change it (P43).
func (v *View) Hash(span proto.Span, rev, floor proto.Revision) (HashResult, error) {
	var res HashResult
	var h hasher
	err := v.visible(span, rev, floor, func(ver *Version) error {
		res.add(h.version(ver))
		return nil
	})
	return res, err
}

// visible calls fn for every version of the span that is logically visible at
// (floor, rev], by key, newest first.
func (v *View) visible(span proto.Span, rev, floor proto.Revision, fn func(*Version) error) error {
	if span.Empty() {
		return nil
	}
	it, err := v.spanIter(enginekey.Versions, span)
	if err != nil {
		return err
	}
	defer it.Close()
	var ver Version
	for ok := it.First(); ok; {
		if err := v.versionAt(it, &ver); err != nil {
			return err
		}
		if ver.ModRevision > rev {
			ok = it.Next()
			continue
		}
		if ver.ModRevision > floor || !ver.Tombstone {
			k := it.Key()
			ver.Key = k[1 : enginekey.Split(k)-1]
			if err := fn(&ver); err != nil {
				return err
			}
		}
		if ver.ModRevision <= floor {
			ok = it.NextPrefix()
		} else {
			ok = it.Next()
		}
	}
	return wrap("scan versions", it.Error())
}

// Checksum sums up the whole logical content of a range at its applied index:
// visible versions, lease index and unversioned records. Two replicas at the
// same index have the same sum.
func (v *View) Checksum(id proto.RangeID) (Checksum, error) {
	applied, err := v.Applied(id)
	if err != nil {
		return Checksum{}, err
	}
	d, err := v.Descriptor(id)
	if err != nil {
		return Checksum{}, err
	}
	span := proto.SpanOf(d.GetSpan())
	res := Checksum{Index: applied.Index}
	var h hasher
	for _, t := range enginekey.Replicated {
		if t == enginekey.Versions {
			err = v.visible(span, Latest, applied.Floor, func(ver *Version) error {
				res.Sum += h.version(ver)
				return nil
			})
		} else {
			err = v.each(t, span, func(key, suffix, value []byte) (bool, error) {
				res.Sum += h.record(t, key, suffix, value)
				return true, nil
			})
		}
		if err != nil {
			return Checksum{}, err
		}
	}
	return res, nil
}

// Checksum of a range's content at an applied index.
type Checksum struct {
	Index proto.Index
	Sum   uint64
}
