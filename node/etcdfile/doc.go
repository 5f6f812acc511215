// Package etcdfile writes and reads etcd's backup file: a bbolt database in the
// schema of etcd 3.7, and behind it the SHA-256 of its bytes.
//
//	key              revision "_" sub ["t"]      -> mvccpb.KeyValue, in revision order
//	meta             consistent_index, term, confState, storageVersion,
//	                 scheduledCompactRev, finishedCompactRev
//	lease            id, 8 bytes big endian      -> leasepb.Lease
//	auth             authEnabled, authRevision
//	authUsers, authRoles   name                  -> authpb.User, authpb.Role
//	cluster          clusterVersion
//	members          id in hex                   -> JSON
//	members_removed  id in hex                   -> "removed"
//	alarm            empty: alarms are of the cluster that raised them
//	+ SHA-256 of all of it, 32 bytes (what etcdctl snapshot save appends)
//
// Invariants:
//
//	I1 Versions are added in rising key order, so that pages are filled one
//	   after the other and memory is bounded by one batch.
//	I2 The revision of etcd after a restore is that of the newest version. Where
//	   the newest change is older than the revision of the backup, a tombstone of
//	   the empty key, which no client can name, carries it.
//	I3 A reader looks into the file only after the checksum held, and never
//	   writes to it.
//
// Node/backup fills a file from ranges, node/restore makes ranges from one. The
// package knows nothing of ranges.
package etcdfile
