// Package auth decides who may do what: etcd's users, roles and permissions,
// kept in the root range and enforced by every gateway.
//
//	Auth service --change--> conditioned write of records + auth epoch (root range)
//	                              |
//	      sequencer's replies carry the epoch to every node (P9)
//	                              v
//	request --> Guard: rules of the newest epoch known --> KV, Lease, Watch, ...
//	                 \--write carries the epoch--> leader: asks for its number
//	                                               under it, or refuses
//
// What users, roles and permissions mean is decided by etcd's own auth store,
// over a copy of the records in memory: Rules. Rules never change; a new epoch
// brings new ones.
//
// Invariants:
//
//	I1  A change of the records and the next epoch are one write, valid only over
//	    the records that it was decided on.
//	I2  A write takes its revision under the epoch that its permissions were
//	    checked under, or takes none: a permission that was revoked before the
//	    write was sent is not honoured.
//	I3  A linearizable read is answered only if its caller may read under the
//	    epoch that came with the read revision.
//	I4  No request is served before the rules were read once.
package auth
