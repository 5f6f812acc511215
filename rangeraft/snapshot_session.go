package rangeraft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// A raft snapshot that broke off goes on where it did: the sender keeps its
// view for a few attempts, the receiver what it staged for a while.
//
//	sender: view, session        receiver: one session per range
//	  | records from byte 0  ----> pipe ----> staging
//	  x broken                     kept for keepSession
//	  | what is there?  ---------> have
//	  | records from byte have --> pipe ----> staging ----> raft
const (
	snapshotRetries = 6
	snapshotRetry   = 250 * time.Millisecond // doubled each time
	keepSession     = 30 * time.Second
	// snapshotsAside bounds the views that wait for the next attempt.
	snapshotsAside = 8
)

// session is a raft snapshot being received, over as many streams as it takes.
type session struct {
	id      uint64
	out     *io.PipeWriter // to staging
	cancel  context.CancelFunc
	staged  chan stagedResult // one result
	abandon *time.Timer       // while no stream feeds it

	have int64
	busy bool // a stream feeds it
}

type stagedResult struct {
	data *storage.StagedSnapshot
	err  error
}

// sessions are the raft snapshots that a store is receiving, by range.
type sessions struct {
	s  *Store
	mu sync.Mutex
	by map[proto.RangeID]*session

	ending sync.WaitGroup // staging that is being given up
}

func newSessions(s *Store) *sessions { return &sessions{s: s, by: map[proto.RangeID]*session{}} }

// have returns how much of a session is staged, 0 if it is not known here.
func (t *sessions) have(id proto.RangeID, session uint64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.by[id]; e != nil && e.id == session && !e.busy {
		return e.have
	}
	return 0
}

// begin returns the session that a stream goes on with, or makes it. The caller
// feeds it, then calls pause or end.
func (t *sessions) begin(header *pontoonpb.SnapshotHeader) (*session, error) {
	id := proto.RangeID(header.Desc.RangeId)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[id]
	switch {
	case e != nil && e.busy:
		return nil, fmt.Errorf("a raft snapshot of range %d is being received", id)
	case e != nil && e.id == header.Session && e.have == header.Offset && header.Offset > 0:
		e.busy = true
		e.abandon.Stop()
		t.s.metrics.snapshotsResumed.Inc()
		return e, nil
	case header.Offset != 0:
		return nil, errors.New("what came before of the raft snapshot is no longer here")
	case e != nil:
		t.endLocked(id, e)
	}
	err := t.s.reserve(header.Desc)
	if others, ok := err.(overlapsReceived); ok && t.giveWayLocked(others) {
		err = t.s.reserve(header.Desc)
	}
	if err != nil {
		return nil, err
	}
	in, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.s.ctx)
	e = &session{id: header.Session, out: out, cancel: cancel, staged: make(chan stagedResult, 1), busy: true}
	t.by[id] = e
	go func() { // ends with the pipe, which whoever ends the session closes
		data, err := t.s.opts.Engine.StageSnapshot(ctx, in)
		in.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		e.staged <- stagedResult{data, err}
	}()
	return e, nil
}

// giveWayLocked ends sessions that no stream feeds, if none of those given is
// fed: their senders may never come back, as that of a range that was merged
// away, and another range may need the keys.
func (t *sessions) giveWayLocked(ids []proto.RangeID) bool {
	for _, id := range ids {
		if e := t.by[id]; e == nil || e.busy {
			return false
		}
	}
	for _, id := range ids {
		t.endLocked(id, t.by[id])
	}
	return true
}

// feed passes a stream on to staging; io.EOF is its proper end.
func (t *sessions) feed(e *session, next func() ([]byte, error)) error {
	for {
		b, err := next()
		if err != nil {
			return err
		}
		n, err := e.out.Write(b)
		t.mu.Lock()
		e.have += int64(n)
		t.mu.Unlock()
		if err != nil {
			return errStaging
		}
	}
}

// errStaging: the stream came and cannot be taken.
var errStaging = errors.New("staging failed")

// pause keeps a session whose stream broke, for a while.
func (t *sessions) pause(id proto.RangeID, e *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.busy = false
	e.abandon = time.AfterFunc(keepSession, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.by[id] == e && !e.busy {
			t.endLocked(id, e)
		}
	})
}

// end forgets a session. What is staged and not taken goes.
func (t *sessions) end(id proto.RangeID, e *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(id, e)
}

func (t *sessions) endLocked(id proto.RangeID, e *session) {
	if t.by[id] != e {
		return
	}
	delete(t.by, id)
	if e.abandon != nil {
		e.abandon.Stop()
	}
	e.cancel()
	e.out.CloseWithError(io.ErrUnexpectedEOF)
	t.s.release(id)
	t.ending.Go(func() { // staging ends at once now
		if res := <-e.staged; res.data != nil {
			_ = res.data.Discard()
		}
	})
}

// receive takes one stream of a session, and returns what is staged when it was
// the last one. The session goes on until end.
func (t *sessions) receive(header *pontoonpb.SnapshotHeader, next func() ([]byte, error)) (*session, *storage.StagedSnapshot, error) {
	id := proto.RangeID(header.Desc.RangeId)
	e, err := t.begin(header)
	if err != nil {
		return nil, nil, err
	}
	err = t.feed(e, next)
	if err != io.EOF && err != errStaging && t.s.ctx.Err() == nil {
		t.pause(id, e)
		return nil, nil, err
	}
	e.out.Close()
	res := <-e.staged
	e.staged <- stagedResult{} // taken
	if res.err != nil {
		t.end(id, e)
		return nil, nil, res.err
	}
	return e, res.data, nil
}

// close ends the sessions that no stream feeds.
func (t *sessions) close() {
	t.mu.Lock()
	for id, e := range t.by {
		if !e.busy {
			t.endLocked(id, e)
		}
	}
	t.mu.Unlock()
	t.ending.Wait()
}
