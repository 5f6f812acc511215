// Package router turns etcd's KV service into operations on ranges: it finds
// the ranges, fans out, follows redirects, retries what is safe, and hands
// writes over several ranges to package txn.
//
//	KV request --check--> one range?  --yes--> WriteOp ----------------+
//	                          |no                                      |
//	                          +-------> txn.Coordinator --lock/commit--+--> Sender --> leader
//	Range --read revision R--> parts at R in parallel -----------------+     ^
//	                                                          rangecache, Directory
//
// It owns the gateway's view of where ranges are and nothing durable.
//
// Invariants:
//
//	R1 A write is sent again only after an answer that proves it was not proposed (P34).
//	R2 All parts of one answer are read at one revision and together cover the request (P21).
//	R3 A linearizable read takes its read revision after the request arrived (S2).
//	R4 A serializable answer is not below one given before while a quorum is reachable (P28).
//
// Used by node, which implements the ports. It never evaluates a write itself
// and never touches the engine.
package router
