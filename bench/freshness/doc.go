// Package freshness measures how long consistent lists and watches wait, on
// Pontoon and on etcd beside it.
//
//	writer elsewhere ----> (keeps revisions running ahead of the prefix)
//
//	progress: read of an absent key at gateway B -> revision R
//	          RequestProgress on a prefix watch at gateway A -> ... -> R
//	watch:    put into one of n ranges -> event at a watch of that range
//	                                   -> event at a watch of all ranges
//
// The first is what every consistent list of Kubernetes waits for; the second
// is what a watch pays for crossing ranges.
//
// Invariants:
//
//	I1 Read and watch go through different gateways.
//	I2 Both watches are timed on the same events, from before the put was sent.
//	I3 A wait that does not end is an error, not a missing sample.
package freshness
