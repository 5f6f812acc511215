// Package sim runs a whole cluster in one process and in virtual time, and does
// to it what a seed says.
//
//	seed --> plan: steps at times
//	            |
//	         nemesis --kill, power, stop, join, leave--> machine   machine   machine ...
//	            |---cut, slow, lossy, far-----> links      |          |         |
//	            |---stall, slow, refuse-------> disks      |  real node.Node on a
//	            |---drift---------------------> clocks     |  simulated disk, clock
//	            \---split, merge, move, transfer (Admin)   |  and network (simnet)
//	                                                       v
//	clients, probes, historian, stale readers, watchers ---+---> record --> Judge
//	(official etcd client)
//
// Nothing of the product is replaced but what is under it: each machine runs a
// node as cmd/pontoon does, from the gRPC servers down to the raft logs in pebble;
// its connections, file system and monotonic clock come through node/config. A
// run lasts half a minute of the cluster's time and a second or two of ours.
//
// What must hold, and who looks (numbers of bench/verify's invariants in brackets):
//
//	I1 KV and txn are linearizable; every answer is the state at its revision
//	   [I1-I3, I7]: Judge, over the histories of all clients.
//	   A serializable answer is the state at its revision, too: judgeStale.
//	I2 Revisions are unique and grow in real time: Judge.
//	I3 Watches from now, from the past and over parts of the keys get every event
//	   once, in order, whole revisions, right previous values, and no progress that
//	   is not true [I4-I6]: Judge.
//	I4 Compaction takes nothing that is readable, and leaves nothing readable that
//	   it took: historian.
//	I5 No lease ends early, none half [I8]: Judge; none outlives its end for long:
//	   expiry, once the cluster is at rest; none is outlived by a key that was put
//	   beside its revoke, or that moved: revokeRace, handedOn.
//	I6 Replicas of a range have one checksum at one index, the key space has no
//	   hole, and every range its replicas: rest.
//	I7 Once the last fault is over everything is served, every watch has caught up
//	   and every lease left alone has ended within settleLimit: Finish, startAll.
//	I8 A node starts from whatever a crash left on its disk: every start.
//
// A plan follows from its seed alone, and a seed repeats it. How goroutines
// interleave is up to the Go runtime.
package sim
