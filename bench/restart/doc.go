// Package restart measures how long a cluster that holds many keys does not
// serve after all its processes were killed, and what memory it has then.
//
//	per system, one after the other:
//	  start, split (Pontoon), fill by large txns, count
//	  several times: kill -9 all --> start all --> first linearizable read of a
//	                 key, on any node, on every node --> memory
//	  count again
//
// Invariants:
//
//	I1 The clock runs from before the first process is started until a read has
//	   its answer: the right value, or the run fails.
//	I2 All keys are there afterwards, or the run fails.
//	I3 Both systems get the same keys, values, txns and moments of measurement.
//
// What was written lies in the page cache when processes start again, in both
// systems: it is processes that fall here, not machines.
package restart
