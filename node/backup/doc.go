// Package backup answers etcd's Maintenance.Snapshot: one consistent revision
// over all ranges as a file of etcd's format (package etcdfile).
//
//	1 leases        2 B := read revision     3 sessions: one per node, each pins
//	  as they are       and push closing        one engine view in which its
//	                    to it                   ranges are closed at B (P44)
//	4 F := highest floor of all sessions; every session streams what its ranges
//	  retain at B under F, by key
//	5 sorter: runs of bounded memory spilled to DATA/backup-*, merged into
//	  (revision, sub) order
//	6 etcdfile.Writer: a bbolt file in the same directory, then its bytes and
//	  their SHA-256 to the client
//
// Invariants:
//
//	B1. No byte is collected before every session has pinned its view, so the
//	    file is a cut: a txn over ranges is in it whole or not at all (P44).
//	B2. All sessions stream under one floor, which is the file's; what was
//	    dropped where does not show (P41, P43).
//	B3. Memory is bounded by the sorter's buffer and the merge's readers, whatever
//	    the size of the data. Lease ids are the exception: they are in the lessors'
//	    memory anyway.
//	B4. One backup per node at a time; a few wait, more are refused. Whatever ends
//	    one, client or node, takes its directory with it; what a crash leaves is
//	    removed at the next start.
//	B5. Every lease that a live key names is in the file, also one that was
//	    revoked while the backup was taken.
//
// Node/api hands Snapshot over to Service; node registers Server beside the
// other services between nodes. docs/design/20261126_backup.md says why.
package backup
