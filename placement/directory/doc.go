// Package directory keeps the map of ranges and nodes in the root range.
//
//	rangeraft: Changed(desc) ──> Publisher ──> Publish ─┐  SysWrite, conditional
//	router: Lookup, All ──> Directory ─────────────────┼──> root range
//	node: AllocRangeID ────────────────────────────────┘
//
// The ranges' own descriptors are the truth; the directory is fed by them and
// lags behind. Bootstrap computes what every node of a new cluster creates by
// itself.
//
// Invariants:
//
//	I1  The records tile the keyspace at any time: a descriptor that is
//	    published takes its span from older ones, which keep the rest.
//	I2  Where descriptors meet, the higher generation wins; publishing again,
//	    late or out of order changes nothing.
//	I3  A range id is given out once.
package directory
