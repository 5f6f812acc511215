// Package restore makes the data directory of a node of a new cluster from a
// backup file, Pontoon's own or etcd's.
//
//	FILE --checksum--> versions, in revision order --> DATA/restore.tmp/engine
//	        the engine, in key order --> split points, counts, lease index
//	        descriptors, applied states, directory, nodes, auth, leases
//	DATA/restore.tmp/engine --rename--> DATA/engine, then DATA/cluster.json
//
// It runs once for each node of the new cluster, with the same file and flags.
//
// Invariants:
//
//	R1. What it writes is a function of the file and the flags that are the same
//	    for all nodes, so that the replicas of a range begin equal, at one raft
//	    index and term, as those of a bootstrap do.
//	R2. The id of the cluster is made of the file's digest too: nodes restored
//	    from different files, and those of the old cluster, are strangers.
//	R3. A data directory is whole or refused: cluster.json comes last, and while
//	    restore.tmp is there no node starts. What exists is never touched.
//	R4. Revisions, versions, leases and auth stay as they were. The sequencer
//	    goes on above the file's revision, and every range is closed at it.
//
// Cmd calls it. It never talks to the network.
package restore
