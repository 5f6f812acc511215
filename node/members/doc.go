// Package members knows who belongs to the cluster and decides what may become
// of it.
//
//	Peer.Join ────────────┐                      ┌──> peers, gossip seeds
//	Cluster service ──────┼─ rules ─> Records ───┤
//	node drain, remove ───┘   (pure) (root range)└──> cluster.json
//	        gossip: newer ──> Cache <── read ──┘
//
// The records in the root range are the truth; every node keeps the last ones
// it read, so that it can answer and find the others while the root range
// cannot be read.
//
// Invariants:
//
//	M1  A change is decided over the records that it is conditioned on, never
//	    over the cache. Refusals may come from the cache where the state that
//	    refuses is final.
//	M2  A removed member stays removed: its id never comes back, and whoever
//	    heard of the removal remembers it across restarts.
//	M3  No two members share a peer URL.
//	M4  A member that lives is not removed while a range counts on its replica;
//	    a dead one only if every range has a quorum without it.
//	M5  An id belongs to one life of a data directory: only a member that never
//	    started may be taken over by one without data.
package members
