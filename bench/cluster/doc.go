// Package cluster runs local clusters of real node processes, of Pontoon or of
// etcd, for fault runs and comparisons.
//
//	Start --> node 0 [process, log file, data dir]  <-- Kill / Pause / Restart
//	      --> node 1        ...                        through signals only
//	      --> node 2
//
// With Links, the advertised peer port of each node is a proxy (package cut). With
// Disks, its data directory is on a file system that can lose power (package disk).
//
// It knows a system by its binary, its flags (the same for both), GET /readyz
// and, for Pontoon, the output of `range` commands: nothing of the product is
// imported. Processes die with their parent (where the OS can do that) and with
// Close.
//
// Invariants:
//
//	I1 Every process started is ended by Close, and by the end of this process.
//	I2 A restarted node has the same flags, ports and data directory.
//	I3 Ports lie below the ephemeral range, so that no outgoing connection takes
//	   the port of a node that is down.
package cluster
