// Package simnet is a network in memory whose links are as bad as one says.
//
//	Host 10.0.0.1 --Dial--> conn --stream--> [link 1->2] --> Host 10.0.0.2 (Listen)
//	                             <--stream-- [link 2->1] <--
//
// A stream is one direction of a connection. What is written arrives in order,
// no earlier than the link's delay later; a lost segment arrives after a
// retransmission timeout, and all behind it, as with TCP. A cut link holds what is
// under way until it heals. A sender that gets nothing through for UserTimeout
// loses the connection; what it had sent may arrive long after, also after what
// it sent over the next connection.
//
// Invariants:
//
//	I1 Only time moves things: whoever waits waits on channels and timers, so that
//	   a network in a synctest bubble needs no real time.
//	I2 What a stream draws comes from the network's seed, the pair of hosts and
//	   the number of the connection between them.
//	I3 A host without power sends nothing more, and its peers are not told.
package simnet
