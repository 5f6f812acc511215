// Package gossip tells every node who is in the cluster, alive and how loaded,
// by memberlist over the nodes' own connections.
//
//	memberlist ── packets, streams ──> transport ── Peer.Gossip stream per node ──> others
//	    │ join, update, leave                 ^── Peer.Gossip streams of others ─────┘
//	    └──> Gossip: Members, State, OnChange
//
// No port is used beside the peer URLs: memberlist's datagrams and connections
// are GossipPackets, and its addresses are node ids in IPv6 clothes.
//
// Invariants:
//
//	I1  What gossip says is advice: nothing that must be true rests on it.
//	I2  A packet that cannot be sent at once is dropped, as a datagram is; a
//	    connection's bytes arrive in order or the connection breaks.
package gossip
