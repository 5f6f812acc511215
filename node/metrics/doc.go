// Package metrics shows what a node counts under etcd's names.
//
//	gRPC requests --RPC, KV, Lease, Health--> counters of etcd's names --+
//	rooms (storage, rangeraft, ...) --> registry: pontoon_* -------------+--> Gatherer --> /metrics
//	node --Facts, once per scrape----------------------------------------+       ^
//	                                                              Table: name, type, where from
//
// The rooms count for themselves, under pontoon_*. One table says of each of
// etcd's families what shows it: a family of ours, a fact that the node is asked
// for, a counter kept here, or nothing and why. docs/compatibility.md is made
// from it.
//
// Invariants:
//
//	I1 A family has etcd's name, type and labels, or is not there.
//	I2 No label names a range, a key, a lease or a user. What a client may choose
//	   (its API version) is bounded.
//	I3 A request looks no label up: everything it counts was resolved when the
//	   server was built.
//	I4 Reading costs nothing where it is counted: Facts and sums are taken when
//	   somebody scrapes.
//
// The node wires it; it imports no room but storage/etcdop, which tells a txn that
// only reads.
package metrics
