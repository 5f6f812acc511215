package enginekey

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Tag is the first byte of an engine key and names the space.
type Tag byte

// The spaces in engine order.
const (
	Store     Tag = 0x01
	Range     Tag = 0x02
	Tombstone Tag = 0x03
	Sys       Tag = 0x10
	Lock      Tag = 0x11
	Txn       Tag = 0x12
	Reg       Tag = 0x13
	Merge     Tag = 0x14
	LeaseIdx  Tag = 0x18
	Versions  Tag = 0x20
)

// Replicated lists the spaces addressed by internal key, in engine order: all
// that a raft snapshot of a span carries.
var Replicated = []Tag{Sys, Lock, Txn, Reg, Merge, LeaseIdx, Versions}

// MaxSuffix is the longest suffix of an unversioned record.
const MaxSuffix = 254

// MaxSub is the greatest position of a change within its revision.
const MaxSub = math.MaxUint32

// Suffixes of numbers are 8 bytes, those of versions 12, and their length byte.
const (
	numberSuffix  = 9
	versionSuffix = 13
)

// Local returns the tag of a space of unversioned records.
func Local(s pontoonpb.Space) (Tag, bool) {
	switch s {
	case pontoonpb.Space_SPACE_SYS:
		return Sys, true
	case pontoonpb.Space_SPACE_LOCK:
		return Lock, true
	case pontoonpb.Space_SPACE_TXN:
		return Txn, true
	case pontoonpb.Space_SPACE_REG:
		return Reg, true
	case pontoonpb.Space_SPACE_MERGE:
		return Merge, true
	}
	return 0, false
}

// Append appends tag, key and the end of the prefix: a whole key without
// suffix, and the bound before every key at or above it.
func Append(dst []byte, t Tag, key []byte) []byte {
	dst = append(dst, byte(t))
	dst = append(dst, key...)
	return append(dst, sentinel)
}

// AppendSuffixed appends the key of an unversioned record. The suffix must not
// exceed MaxSuffix.
func AppendSuffixed(dst []byte, t Tag, key, suffix []byte) []byte {
	dst = Append(dst, t, key)
	if len(suffix) == 0 {
		return dst
	}
	dst = append(dst, suffix...)
	return append(dst, byte(len(suffix)+1))
}

func appendNumber(dst []byte, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64(dst, n), numberSuffix)
}

// AppendVersion appends the key of one version of a user key (I2). The sub
// must be in [0, MaxSub].
func AppendVersion(dst, key []byte, rev proto.Revision, sub int64) []byte {
	return AppendPosition(Append(slices.Grow(dst, VersionLen(key)), Versions, key), rev, sub)
}

// AppendPosition turns the prefix of a user key into the key of a version.
func AppendPosition(prefix []byte, rev proto.Revision, sub int64) []byte {
	prefix = binary.BigEndian.AppendUint64(prefix, math.MaxUint64-uint64(rev))
	prefix = binary.BigEndian.AppendUint32(prefix, MaxSub-uint32(sub))
	return append(prefix, versionSuffix)
}

// VersionLen is the length of AppendVersion's result.
func VersionLen(key []byte) int { return len(key) + 2 + versionSuffix }

// AppendLease appends the key of a lease index entry: in key order, so that a
// span of keys carries its part of the index (P40).
func AppendLease(dst, key []byte, lease proto.LeaseID) []byte {
	return appendNumber(Append(dst, LeaseIdx, key), uint64(lease))
}

// Decode cuts an engine key into its parts; they share its bytes. ok is false
// for a key without the sentinel.
func Decode(k []byte) (t Tag, key, suffix []byte, ok bool) {
	n := Split(k)
	if n < 2 || k[n-1] != sentinel {
		return 0, nil, nil, false
	}
	t, key = Tag(k[0]), k[1:n-1]
	if n < len(k) {
		suffix = k[n : len(k)-1]
	}
	return t, key, suffix, true
}

// Number returns the number in a suffix that Decode returned.
func Number(suffix []byte) (uint64, bool) {
	if len(suffix) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(suffix), true
}

// Position returns revision and sub of a version's key.
func Position(suffix []byte) (rev proto.Revision, sub int64, ok bool) {
	if len(suffix) != versionSuffix-1 {
		return 0, 0, false
	}
	n := math.MaxUint64 - binary.BigEndian.Uint64(suffix)
	sub = int64(MaxSub - binary.BigEndian.Uint32(suffix[8:]))
	return proto.Revision(n), sub, n <= math.MaxInt64
}

// Bounds returns the engine span of an internal span in one space.
func Bounds(t Tag, s proto.Span) (lower, upper []byte) {
	return Append(nil, t, s.Start), Append(nil, t, s.End)
}
