// Package rangecache remembers where ranges are: descriptors by key and the
// node that was last seen leading each range.
//
//	Insert(descriptor) --> | ..a | a..f | f..q |   sorted by end key
//	Lookup(key) ----------> the one descriptor that holds key, or none
//
// Everything in it may be stale; whoever uses a descriptor is corrected by the
// replica that it sends to.
//
// Invariants:
//
//	C1 No two descriptors overlap.
//	C2 Of overlapping descriptors the higher generation stays.
package rangecache
