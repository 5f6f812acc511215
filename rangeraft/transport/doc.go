// Package transport moves frames between the nodes: raft messages with the
// side stream of closed revisions, operations on ranges, raft snapshots and
// feeds.
//
//	         node A                                   node B
//	Send(raft msg) --> queue --\                  /--> Handler.RaftFrame
//	Handler.ClosedUpdates ------> Raft stream ---+
//	Push(revision) ------------/   (ordered)
//	Call(op) -> calls in wait --> Ops stream ------> Handler.Do (pooled goroutine)
//	         <- reply by id  <--  (frames)   <------ replies that wait
//	SendSnapshot --------------> RaftSnapshot ----> Handler.Snapshot
//	OpenFeed <------------------ Feed <------------ Handler.OpenFeed
//
// There is one Raft stream and one Ops stream per node pair and direction. A
// frame carries whatever waits when the stream can take it; nothing is delayed
// to fill a frame.
//
// Invariants:
//
//	I1 Queues are bounded. A raft message that does not fit is dropped, raft
//	   sends it again; an operation that does not fit is refused unsent. A read that
//	   may be answered with a page waits until there is room for one, which it keeps
//	   until the page was handed to its stream.
//	I2 A call that failed says whether it may have reached the peer: AMBIGUOUS
//	   only for writes handed to a stream, everything else is safe to resend (P34).
//	   A node that drains answers what it began and ends the stream well, which
//	   says that it began nothing else.
//	I3 The closed updates of one stream are complete and in order; a new stream
//	   starts with a fresh call of ClosedUpdates (P19).
//	I4 A frame of another cluster ends the stream.
//
// rangeraft's store owns one Transport. The package never looks into a raft
// message or an operation beyond asking whether it writes.
package transport
