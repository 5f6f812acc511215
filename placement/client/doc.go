// Package client is a node's one way to the sequencer: it folds what all
// ranges and gateways of the node ask for into few messages.
//
//	ranges: Ask ──────────────┐            ┌── stream to the root leader ──> sequencer
//	gateways: ReadRevision ───┴─> fold ────┤
//	                               ^       └── in-process call, if it is here
//	 done, Read <── replies in order ───────────────────────┘
//
// Whatever waits goes into the next message; up to two are in flight, answered
// in order. A lost stream or leader resends the unanswered ones under their old
// sequence (P7).
//
// Invariants:
//
//	I1  A read revision comes from a message that was sent after the caller
//	    asked, and is the number before that message's own grants (S2, P8).
//	I2  Asks are answered exactly once and in the order they were made, never
//	    from inside Ask.
//	I3  Seen never decreases and covers a grant before its caller learns of it.
//	I4  Nothing of a root term below the highest known is believed (P7).
//	I5  An ask made under other epochs than those known is not sent (P9).
package client
