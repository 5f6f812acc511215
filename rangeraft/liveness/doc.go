// Package liveness lets two nodes vouch for each other once, for every range
// that sleeps between them (P48). It is a pure kernel: the monotonic time is an
// argument everywhere.
//
//	node of leaders A                         node of followers B
//	   |  offer(range, term, index), in a heartbeat of the range
//	   |---------------------------------------->|  Sleep(A, range, term)
//	   |  sleep{range, term}                     |    if log and commit are equal
//	   |<----------------------------------------|
//	   |  beat{boot, id}    id -> send time      |
//	   |---------------------------------------->|  heard(A) := now
//	   |  ack{boot, id}                          |    promise of all that sleep
//	   |<----------------------------------------|    under A: heard(A) + timeout (P3)
//	   v                                         |
//	Covered(B, range, term): send time of        |  Wake(A, range)
//	the newest acknowledged beat                 |    promise: heard(A) + timeout
//	   |  wake{range}, then later acks           |
//	   |<----------------------------------------|
//
// A leader lease over sleeping followers is what it is over awake ones: a
// quorum of send times plus the lease's duration (leaderlease I1, I2). What is
// new is that one acknowledgement stands for many ranges, so both sides must
// mean the same ranges by it. Only the follower's side decides which: whether
// the leader thinks the range asleep or not changes nothing.
//
// Invariants:
//
//	I1 An acknowledgement counts for a range only if, in the stream that brought
//	   it, the follower said before it that the range sleeps under the leader's
//	   term, and has not said since that it woke.
//	I2 A range that sleeps is promised for one election timeout after each beat
//	   that is taken in. One that falls asleep is promised for one election
//	   timeout from then: an acknowledgement of an earlier beat may follow.
//	I3 A follower that wakes a range says so before it acknowledges a beat that
//	   it takes in later. Both are read from one state when a message is made,
//	   and messages of a stream arrive in order.
//	I4 A stream that begins anew says again all that sleeps; until then nothing
//	   is covered. Messages of a stream that was replaced are void.
//	I5 Ids are of one process. A beat of another process of the leader's node
//	   wakes what slept under the one before; an acknowledgement of one's own
//	   earlier process is void.
//	I6 A leader that stops leading rouses its sleepers: nobody else would tell
//	   them, since its node goes on beating.
//
// How it was attacked:
//
//	stale acknowledgement after a wake   it acknowledges a beat taken in before
//	                                     the wake: the promise covers that one
//	wake, vote, sleep again in between   another term: the entry is another (I1)
//	wake, sleep again, one beat between  falling asleep renews the promise (I2)
//	broken stream swallows the wake      the next one starts empty (I4)
//	follower restarts                    starts empty, bound by P3 from its start,
//	                                     which is later than all it acknowledged
//	leader restarts                      another boot (I5); it leads nothing
//	one direction cut                    no acknowledgements, the lease lapses; the
//	                                     leader wakes, finds no quorum, steps down
//	                                     and rouses, over other nodes if it must:
//	                                     the followers answer nobody meanwhile
//	a paused process                     send times and promises are readings of a
//	                                     clock that counts the pause (P4)
//	an old leader's node that lives on   rouses what it does not lead (I6), again
//	                                     and again, since messages are lost
//
// rangeraft owns one Kernel per store, serializes the calls and moves the
// messages in the raft streams of the node pairs. The kernel knows nothing of
// raft: that log and commit of a follower equal the leader's when it falls
// asleep is checked by the replicas.
package liveness
