// Package answers bounds the memory of large answers to clients, from when they are
// gathered until they are on the wire.
//
//	request --> interceptor --> router: page of a range --> Grow -----> refused
//	                |               '--> next page ...
//	                |<-- answer
//	                '--> codec: one buffer --> gRPC sends it as the client reads --> given back
//
// How much a list takes is known only when it is there, and whoever asked may read it
// slowly or not at all. So what is gathered counts page by page, and the answer in
// which a node would exceed its bound is told etcd's "too many requests".
//
// Invariants:
//
//	I1 Lists that are gathered or wait to be sent take no more than the bound. Other
//	   answers are never refused, what has happened is answered; they count.
//	I2 What was counted is given back once: when the answer left, or failed, or its
//	   connection is gone.
//	I3 An answer below 64 KiB is not counted beyond its gathering: as many as the node
//	   takes requests are no danger.
//
// node puts it before its client server, router asks it while it gathers. It is about
// bytes of the values; while an answer is turned into its buffer it takes twice that.
package answers
