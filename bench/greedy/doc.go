// Package greedy measures whether a client that asks for far more than its share
// starves the others, or takes all memory of a node.
//
//	per scenario, a cluster of its own:
//	  start, every node in a group        e.g. 0.5 cores, 1 GiB (package cgroup)
//	  ranges, leaders dealt out, fill     what the greedy clients need
//	  bystanders alone                    quiet
//	  bystanders beside greedy clients    beside
//	     a lease is kept alive, terms and memory are watched (package vitals),
//	     and how much of the machine was idle
//	  judge                               passed, or what was missed
//
//	bystanders   a few clients that ask at a steady pace, each on its own
//	             connection, for their own keys in every range
//	greedy       hot        512 clients put to one range
//	             list       many lists of tens of MiB at once, again and again
//	             slow-list  the same, and nobody reads the answers
//	             slow-watch watches of large values that nobody reads
//	             watchers   10,000 watches of one prefix over a few connections
//	             inflight   100 MiB of large puts at once on one connection
//
// All greedy clients go for the same range, in which the bystanders have keys too.
//
// Invariants:
//
//	I1 Without caps that the kernel keeps there is no figure but an error: memory
//	   of the machine would hide what a node takes.
//	I2 A bystander's request counts from when it was due, and waits for none before
//	   it: what is late is late at the nodes, and a stall is so for all in it.
//	I3 A scenario in which greedy clients only failed fails: it proves nothing.
//	I4 Every load ends with its time, and is bounded while it lasts: in clients, in
//	   requests under way, and, if what it writes is large, in bytes.
//	I5 A scenario that fails, or cannot be measured to its end, says why, and the
//	   others run.
package greedy
