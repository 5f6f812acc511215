// Package sequencer hands out the revisions of the whole cluster, beside the
// replica that leads the root range.
//
//	Peer.Sequence streams ──┐ asks                    ┌─> Persist: limit ahead, in the log
//	in-process client ──────┴─> Server ──> Kernel ────┤
//	root replica: Gained, Lost, Applied ──────^       └─> replies, confirmed, then sent
//
// Kernel is pure: asks, applied limits and time go in, replies and limits to
// persist come out. Server owns the streams and the one writer of limits.
//
// Invariants:
//
//	I1  A number is granted once, and only at or below the limit that the log
//	    says last (P6). A new leader starts at limit+1.
//	I2  A reply leaves only after the leadership of the term that produced it
//	    was confirmed, which began after its numbers were taken (S1, P5).
//	I3  From deciding on a hand-over until a limit proposed after it is applied,
//	    nothing is granted (P6).
//	I4  A repeated ask of one term gets the same numbers (P7).
//	I5  An ask made under an old floor or epoch is granted nothing (P9).
//	I6  At most one limit is on its way to the log, each is conditional on the
//	    limit before it.
//
// It never recovers a number from what ranges hold: a read revision may name a
// number that no range will ever see.
package sequencer
