// Package admission bounds what clients have under way at a node.
//
//	stream opened --> Tap: full? ------------------------------> refused unread
//	request read ---> unary: one place, its bytes; share of its connection
//	                    |                    |
//	                    v                    '----------------> refused
//	                 services --> place and bytes are given back
//
// What is refused is told etcd's "too many requests" at once, while it costs
// little: behind a queue without an end every answer comes too late, and the
// node does nothing but work that nobody waits for any more.
//
// Invariants:
//
//	I1 The requests under way and their bytes never exceed the limits, but for a
//	   single request that is larger than the limit of bytes by itself.
//	I2 Once a half is taken, a connection that holds a quarter gets no more: one
//	   client cannot keep all others out.
//	I3 While most answers are slow a request is refused whose client would be gone
//	   before those that stand before it are answered (pace). Who waits long enough
//	   is not.
//	I4 What keeps a cluster alive is not bounded here: keep-alives, watches,
//	   members, maintenance, health; nor what waits by its nature: locks and
//	   campaigns.
//
// node puts it before its client server; it knows etcd's requests and nothing
// of ranges. A range's leader bounds what waits for it by itself (rangeraft).
package admission
