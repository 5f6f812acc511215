// Package cluster starts and stops the two sides of the differential test: real
// etcd, in this process through its embed package, and Pontoon, as processes of its
// binary.
//
//	StartEtcd(n) ---- embed.Etcd x n (free ports, temporary directory)
//	StartPontoon(n) - pontoon start x n --- GET /readyz until 200
//	      |
//	   Cluster{Endpoints, Ranges, Logs, Close}
//
// Invariants:
//
//	I1. A cluster owns its directory and its processes: Close stops and removes
//	    all of them, and a process never outlives the one that started it.
//	I2. Start returns only when every node serves linearizable reads.
//
// The package knows Pontoon by its command line and its HTTP and gRPC ports only; it
// imports none of Pontoon's packages.
package cluster
