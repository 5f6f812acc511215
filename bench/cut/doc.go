// Package cut puts a proxy in front of each node's peer port, so that links
// between real processes on one machine can be cut and healed, in one direction
// or both.
//
//	node A --dial--> [proxy of B] --> peer port of B
//	                     |  who dials? the socket's owner (/proc)
//	                     +-- cut A->B: what A sends stays unread, as if packets
//	                         were dropped; a new connection is accepted, as by
//	                         a kernel's backlog, and never answered
//	                     +-- reset: sockets are closed instead
//	                     +-- slow: what was read waits before it is passed on, and
//	                         longer if a packet of it counts as lost
//
// Nothing runs as root and nothing outside of the processes changes. Clients are
// not cut off: they reach every node all the time, also one without peers.
//
// Invariants:
//
//	I1 A byte that a cut held back is delivered after healing, or its connection
//	   is closed; no byte is lost in between, as with TCP.
//	I2 A direction that is not cut goes on delivering, so that a link may be cut
//	   one way.
package cut
