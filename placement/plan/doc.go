// Package plan decides what should change about where ranges are.
//
//	settings ─┐
//	nodes ────┤                  check: repair, drain, spread ─┐
//	ranges ───┼──> View (frozen) split, merge ─────────────────┼──> operators with reasons
//	running ──┤                  balance: leaders, load, size ─┘
//	rests ────┘
//
// It is a function of the view: no clock, no state, no randomness, nothing is
// remembered between two plans. What was planned and runs is part of the next
// view, with its outcome anticipated, so that nothing is planned twice.
//
// Invariants:
//
//	I1  A range gets at most one operator, and none while one runs, its leader
//	    is not known, or it is between two configurations.
//	I2  No node gets a second replica of a range; a node that is not live, is
//	    draining, removed, full or a learner member gets none.
//	I3  Repair goes first, of the root range before all others.
//	I4  A balancing operator makes the difference it was made for smaller, and
//	    is not made for a small one. So balancing a cluster that does not change
//	    ends, and then nothing moves.
//	I5  No more moves are in flight at a node than the setting says, as sender
//	    or receiver of the data.
//	I6  The root range is neither split nor merged, and no merge crosses the
//	    border between leases and user keys.
package plan
