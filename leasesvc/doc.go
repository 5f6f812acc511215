// Package leasesvc is etcd's Lease service over leases whose records live in
// ranges of the lease span.
//
//	clients ─> Service ── grant, keepalive, ttl, list ──> leader of the home range ─> Lessor
//	              └───── revoke ─> Revoker (one deletion over ranges) <── expiry ──────┘
//	ranges ──> Home: registrations, batched ─────────> leader of the home range
//
// The gateway's side is Service and Home, the side of the node that leads a
// range of the lease span is Lessor around lessor.Kernel.
//
// Invariants:
//
//	I1  Keepalives, and the headers of all lease answers, need neither the log
//	    nor the root range (P39).
//	I2  An expiry is carried out as the revocation that a client could have
//	    asked for, naming what it was decided under (P39).
//	I3  A renewal that clears a checkpoint is answered after the log says so.
//
// What a revocation locks and deletes is not known here.
package leasesvc
