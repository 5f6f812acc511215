// Package etcdop evaluates one etcd operation (range, put, delete range, txn)
// over a view of the keys it touches, with the semantics of etcd 3.7.
//
//	RequestOp --Check--> etcd's static errors
//	    |
//	    v                 View (latest state, history, leases, floor)
//	  Path: compares of all levels over the state before the txn
//	  validate: leases, ignore_*, revisions of the chosen path
//	  apply: ops in order over View + own changes
//	    |
//	    v
//	Result{Response, Effects, Mutates} --Bind(first)--> real revisions
//
// The leader of a range uses it for batches whose revisions are not known yet
// (Placeholder), the coordinator of a cross-range txn uses it over the values
// that it read under its locks, and the gateway shares the assembly of range
// responses.
//
// The package is pure: no goroutine, clock, randomness or I/O of its own.
//
// Invariants:
//
//	I1 An error leaves no trace: effects exist only in a returned Result.
//	I2 Key-values handed out by a View are never modified; what must change is copied.
//	I3 Effects are in the order of change, sub = position in the whole txn (P17).
//	I4 A decision never depends on the value of a placeholder (P14).
package etcdop
