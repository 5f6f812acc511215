// Package enginekey encodes the keys of the one engine of a node and orders
// them.
//
// Every engine key is
//
//	+-----+------------------+------+------------------+--------------+
//	| tag | internal key ... | 0x00 | suffix, 0..254 B | len(suffix)+1|
//	+-----+------------------+------+------------------+--------------+
//	'------------ prefix -----------'------------ suffix -------------'
//
// where a key without a suffix ends at the 0x00, which then reads as a suffix
// length of zero. The tag names the space:
//
//	0x01 store      identity of the node's store
//	0x02 range      hard state, truncated and applied state, descriptor, drop
//	                cursor and raft log of one range, by range id
//	0x03 tombstone  range ids whose replica was removed from here
//	0x10 sys        SPACE_SYS records
//	0x11 lock       SPACE_LOCK records
//	0x12 txn        SPACE_TXN records
//	0x13 reg        SPACE_REG records
//	0x14 merge      SPACE_MERGE records
//	0x18 lease      index: internal key | lease
//	0x20 version    user keys: internal key | revision, sub, newest first
//
// The spaces from sys on are addressed by internal key, so a span of internal
// keys is a fixed small number of contiguous engine spans and a range's data
// follows a split without moving.
//
// Invariants:
//
//	I1 Keys order by prefix bytewise, then by suffix bytewise. Appending the
//	   0x00 keeps the order of internal keys, also when one is the start of
//	   another.
//	I2 A version's suffix is its revision and its position within that, the
//	   sub, inverted, big endian, 12 bytes: newer sorts first. A txn may change
//	   one key several times in its one revision (P17), and each is a version.
//	I3 Split finds the prefix from the last byte alone, so bloom filters and
//	   block properties see the key without its revision.
//
// The package is pure; it knows neither pebble nor any record's value.
package enginekey
