// Package offline looks into the data directory of a node that does not run,
// checks it, and in the end recovers ranges from it that lost their quorum.
//
//	DATA/cluster.json --membership--\
//	DATA/engine -------storage-------+--> Inspect  what is there
//	   (read only but for Recover)   +--> Verify   whether it is whole
//	                                 '--> Recover  this node's replicas, alone
//
// Invariants:
//
//	I1  A directory that a node uses is refused.
//	I2  Inspect and Verify write nothing, and neither does Recover unless it is
//	    told to.
//	I3  Recover changes all ranges it was asked for, or says which it did not.
//
// Used by cmd; never by a running node.
package offline
