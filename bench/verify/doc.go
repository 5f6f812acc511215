// Package verify decides whether what clients saw of a cluster is what one
// etcd could have shown them.
//
//	operations ----> Resolve ----> CheckLinearizable (porcupine, etcd model)
//	    |               ^    \---> CheckReplay       (every answer against the log)
//	    |               |
//	    +-> CheckRevisions      leases -> CheckLeases
//	                    |                    |
//	watch streams -> BuildLog --------> CheckStreams
//
// It owns the vocabulary of a recorded run (Operation, Stream, Lease) and the
// checks. It starts no goroutine, asks no clock and talks to no server: a
// harness records, this package judges, so every check is tested with planted
// violations.
//
// Invariants of a correct history:
//
//	I1 Unique: no two mutations carry one revision; a txn carries one.
//	I2 Real time: an operation that starts after another returned has no
//	   smaller revision, and a larger one if it mutates.
//	I3 Exact: an answer at revision R is the state after every mutation at or
//	   below R and none above.
//	I4 Watch: a stream delivers every event of its span from its start on, once,
//	   in revision order, whole revisions in operation order.
//	I5 Progress: after a notification at R nothing at or below R follows.
//	I6 Previous values: prev_kv is the version that the event replaced.
//	I7 Nothing unexplained: every mutation belongs to an operation or a lease.
//	I8 Leases: no early expiry, all keys of a lease in one revision.
//
// Unused revision numbers are allowed everywhere: a crash may leave them.
package verify
