// Package txn runs one etcd write that spans several ranges, and the
// revocation of a lease, as one atomic step with one revision.
//
//	Run --read branch?--> Reader answers at one R, no locks
//	 |
//	 v          Kernel (pure): calls out, replies in
//	cover -> lock anchor -> lock others -> decide -> commit at the anchor -> answer
//	             |              |            |             |
//	             +--- conflict, split, other branch -------+--> release, again
//	                                                       |
//	                       background: resolve the others, then forget the record
//
// The coordinator owns nothing durable: until the commit record is written the
// txn is nothing, afterwards anybody can finish it from the record.
//
// Invariants:
//
//	T1 Locks of all ranges are held before the commit is sent, and the revision is taken there (P29).
//	T2 After a commit was sent only the anchor's record decides; it is never sent twice (P34).
//	T3 An abort is written at the anchor before any other lock is released (P29).
//	T4 Every attempt has its own txn id, so that late messages of an old one find nothing (P31).
//	T5 The record goes only after every participant confirmed (P31).
package txn
