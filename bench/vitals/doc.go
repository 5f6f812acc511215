// Package vitals watches what must not suffer in a cluster whatever clients ask:
// a lease, who leads, and memory.
//
//	Observe --> a lease of its own, kept alive; who leads now
//	            every 200 ms: memory of the nodes
//	End     --> is the key of the lease there? who leads now? the largest node
//
// Invariants:
//
//	I1 Its clients are its own: it tells of the cluster, not of connections that
//	   the load keeps busy.
//	I2 Whether the lease is held is asked before anybody stops renewing it.
//
// bench overload and bench greedy use it. It asks nothing of the nodes but the
// keep-alives while the load goes on.
package vitals
