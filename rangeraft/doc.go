// Package rangeraft keeps the replicas of one store: it replicates, evaluates,
// applies, splits, and tells others what changed and what is closed.
//
//	 Do(op)         raft messages           ticks
//	   |                 |                    |
//	   v                 v                    v
//	+--------------- inbox of a replica ---------------+
//	                     | scheduler: one worker per range at a time
//	                     v
//	  evaluator --Propose--> raft.RawNode --append--> log writer (one synced
//	     ^  |                   |    |                batch for all ranges)
//	     |  Ask -> sequencer    |    +--messages--> transport
//	     |                      v apply (unsynced)
//	     +---- Applied ---- engine batch --events--> feed.Hub
//	                            |
//	                            +--closed--> side stream, checkpoints
//
// Reads are admitted by the worker (gate, leader lease) and then read an engine
// view on the caller's goroutine.
//
// Invariants:
//
//	I1 A replica's raft state, evaluator and applied state are touched under its
//	   mu only, by the one worker that processes it.
//	I2 A response of raft that attests storage leaves after the log writer has
//	   synced what it attests.
//	I3 Nothing is served, evaluated, closed or granted before an entry of the
//	   own term is applied (P1).
//	I4 Apply takes effects only from commands of the entry's term, over the
//	   descriptor's generation, after their predecessor (P12).
//	I5 The applied descriptor is the truth about a span; an operation or feed
//	   that does not lie in it is refused with all descriptors known (P21).
//
// node wires the ports; router, watchmux, leasesvc and placement reach a store
// through Do, OpenFeed and the ports, never directly.
package rangeraft
