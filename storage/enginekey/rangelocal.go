package enginekey

import (
	"encoding/binary"

	"github.com/pontoon-kv/pontoon/proto"
)

// Record names a range-local record.
type Record byte

// The records of one range, in engine order.
const (
	HardState  Record = 0x01
	Truncated  Record = 0x02
	Applied    Record = 0x03
	Descriptor Record = 0x04
	Drop       Record = 0x05 // not replicated: how far dropping came here
	DropMark   Record = 0x06 // not replicated: effects below the floor
	Log        Record = 0x10 // one per index
	recordEnd  Record = 0xff
)

// AppendRange appends the key of a range-local record.
func AppendRange(dst []byte, id proto.RangeID, r Record) []byte {
	dst = append(dst, byte(Range))
	dst = binary.BigEndian.AppendUint64(dst, uint64(id))
	return append(dst, byte(r), sentinel)
}

// AppendLog appends the key of the log entry at index.
func AppendLog(dst []byte, id proto.RangeID, index proto.Index) []byte {
	return appendNumber(AppendRange(dst, id, Log), uint64(index))
}

// RangeEnd returns the engine key after every record of the range.
func RangeEnd(id proto.RangeID) []byte { return AppendRange(nil, id, recordEnd) }

// LogBounds returns the engine span of a range's log entries from index on.
func LogBounds(id proto.RangeID, from proto.Index) (lower, upper []byte) {
	return AppendLog(nil, id, from), AppendRange(nil, id, Log+1)
}

// DecodeRange returns range and record of a range-local engine key.
func DecodeRange(k []byte) (id proto.RangeID, r Record, suffix []byte, ok bool) {
	t, key, suffix, ok := Decode(k)
	if !ok || t != Range || len(key) != 9 {
		return 0, 0, nil, false
	}
	return proto.RangeID(binary.BigEndian.Uint64(key)), Record(key[8]), suffix, true
}

// AppendTombstone appends the key of the record that a replica of the range
// was removed from here.
func AppendTombstone(dst []byte, id proto.RangeID) []byte {
	return Append(dst, Tombstone, binary.BigEndian.AppendUint64(nil, uint64(id)))
}

// AppendStore appends the key of a record of the store itself.
func AppendStore(dst []byte, name string) []byte { return Append(dst, Store, []byte(name)) }
