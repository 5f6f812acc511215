// Package keys lays out the internal keyspace that ranges divide.
//
//	0x01 meta   root range: directory, nodes, floor, sequencer limit, ids
//	0x02 lease  lease records by id (8 bytes, big endian)
//	0x03 user   etcd keys
//	0x04 Max
//
// All three spans are ordinary keys to a range; only the meta span is never
// split. The package is pure and may be imported by every layer above proto.
package keys

import (
	"bytes"
	"encoding/binary"

	"github.com/pontoon-kv/pontoon/proto"
)

const (
	metaPrefix  = 0x01
	leasePrefix = 0x02
	userPrefix  = 0x03
)

// Max is the end of the internal keyspace.
var Max = []byte{0x04}

// The three spans.
var (
	MetaSpan  = proto.Span{Start: []byte{metaPrefix}, End: []byte{leasePrefix}}
	LeaseSpan = proto.Span{Start: []byte{leasePrefix}, End: []byte{userPrefix}}
	UserSpan  = proto.Span{Start: []byte{userPrefix}, End: Max}
)

// Meta records (SPACE_SYS keys of the root range).
var (
	SequencerLimit = meta("seq/limit")   // 8 bytes big endian
	Floor          = meta("floor")       // 8 bytes big endian; absent: never compacted
	AuthEpoch      = meta("epoch/auth")  // 8 bytes big endian
	AlarmEpoch     = meta("epoch/alarm") // 8 bytes big endian
	NextRangeID    = meta("next-range")  // 8 bytes big endian
	Settings       = meta("settings")    // Settings
	node           = meta("node/")       // + 8-byte node id -> NodeRecord
	Roster         = meta("roster")      // 8 bytes big endian: +1 when what the node records say together changes
	AuthSpan       = proto.Span{Start: meta("auth/"), End: meta("auth0")}
	AuthEnabled    = meta("auth/enabled")  // present: authentication is on
	AuthRevision   = meta("auth/revision") // 8 bytes big endian
	AuthSecret     = meta("auth/secret")   // signs simple tokens
	authUser       = meta("auth/user/")    // + name -> authpb.User
	authRole       = meta("auth/role/")    // + name -> authpb.Role
	alarm          = meta("alarm/")        // + 4-byte kind, 8-byte node id; the value says nothing
	AlarmSpan      = proto.Span{Start: meta("alarm/"), End: meta("alarm0")}
	Downgrade      = meta("downgrade") // version that etcd's downgrade was enabled for; absent: none
	NodeSpan       = proto.Span{Start: meta("node/"), End: meta("node0")}
	directory      = meta("dir/") // + end key of the range -> Descriptor
	DirectorySpan  = proto.Span{Start: meta("dir/"), End: meta("dir0")}
)

func meta(s string) []byte { return append([]byte{metaPrefix}, s...) }

// Node returns the key of a node's record.
func Node(id proto.NodeID) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(node), uint64(id))
}

// AuthUser returns the key of a user's record.
func AuthUser(name string) []byte { return append(bytes.Clone(authUser), name...) }

// AuthRole returns the key of a role's record.
func AuthRole(name string) []byte { return append(bytes.Clone(authRole), name...) }

// AuthUserOf is the inverse of AuthUser.
func AuthUserOf(key []byte) (string, bool) {
	name, ok := bytes.CutPrefix(key, authUser)
	return string(name), ok
}

// AuthRoleOf is the inverse of AuthRole.
func AuthRoleOf(key []byte) (string, bool) {
	name, ok := bytes.CutPrefix(key, authRole)
	return string(name), ok
}

// Alarm returns the key of the record of an alarm of a node.
func Alarm(kind int32, node uint64) []byte {
	k := binary.BigEndian.AppendUint32(bytes.Clone(alarm), uint32(kind))
	return binary.BigEndian.AppendUint64(k, node)
}

// AlarmOf is the inverse of Alarm.
func AlarmOf(key []byte) (kind int32, node uint64, ok bool) {
	rest, ok := bytes.CutPrefix(key, alarm)
	if !ok || len(rest) != 12 {
		return 0, 0, false
	}
	return int32(binary.BigEndian.Uint32(rest)), binary.BigEndian.Uint64(rest[4:]), true
}

// Directory returns the key of the directory record of the range that ends at
// end. Keyed by end, the record for a key is the first one after it.
func Directory(end []byte) []byte {
	return append(bytes.Clone(directory), end...)
}

// Lease returns the internal key of a lease record. Ids are positive.
func Lease(id proto.LeaseID) []byte {
	return binary.BigEndian.AppendUint64([]byte{leasePrefix}, uint64(id))
}

// LeaseOf is the inverse of Lease.
func LeaseOf(key []byte) (proto.LeaseID, bool) {
	if len(key) != 9 || key[0] != leasePrefix {
		return 0, false
	}
	return proto.LeaseID(binary.BigEndian.Uint64(key[1:])), true
}

// User returns the internal key of an etcd key.
func User(key []byte) []byte {
	k := make([]byte, 0, len(key)+1)
	return append(append(k, userPrefix), key...)
}

// UserKey returns the etcd key of an internal user key. The slice is shared.
func UserKey(key []byte) ([]byte, bool) {
	if len(key) == 0 || key[0] != userPrefix {
		return nil, false
	}
	return key[1:], true
}

// UserRangeSpan translates etcd's key and range_end into a span: empty end is
// the single key, "\0" everything from key on, and an inverted interval is
// empty.
func UserRangeSpan(key, end []byte) proto.Span {
	start := User(key)
	switch {
	case len(end) == 0:
		return Point(start)
	case len(end) == 1 && end[0] == 0:
		return proto.Span{Start: start, End: Max}
	default:
		return proto.Span{Start: start, End: User(end)}
	}
}

// UserRange translates a user span back into etcd's key and range_end. Ends
// outside of the user span become "\0". A span of one key becomes an interval.
func UserRange(s proto.Span) (key, end []byte) {
	key, _ = UserKey(s.Start)
	if e, ok := UserKey(s.End); ok {
		return key, e
	}
	return key, []byte{0}
}

// Point returns the span that holds exactly key.
func Point(key []byte) proto.Span {
	return proto.Span{Start: key, End: Next(key)}
}

// Next returns the smallest key after key.
func Next(key []byte) []byte {
	n := make([]byte, len(key)+1)
	copy(n, key)
	return n
}
