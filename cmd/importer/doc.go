// Package importer copies a live etcd, or a Pontoon, into another cluster and
// follows it until cut-over.
//
//	auth: roles, users (no passwords: no API gives them out)
//	leases ----------------- granted under their ids, kept alive, revoked with the source's
//	copy at revision R ----- pages in key order; the target is made the same, page by page
//	follow from R+1 -------- the source's watch, whole revisions in order, as txns
//
// Invariants:
//
//	M1. The target ends as the source: what a page of the source does not have is
//	    deleted from the target, so a copy can begin anew at any time, and does
//	    where the source's compaction overtakes it.
//	M2. Every step may be repeated: the state file is written after what it says
//	    is in the target, and replaying events from an older point in order leads
//	    to the same content.
//	M3. Memory is bounded by a page and one watch response.
//	M4. A lease lives in the target as long as in the source. Its keys are never
//	    deleted by the target's clock before cut-over.
//
// Revisions, versions and create revisions are the target's own: only a restore
// from a backup keeps them.
package importer
