package rangeraft

import (
	"runtime"
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/pontoon-kv/pontoon/storage"
)

// logWriter writes the log appends of all replicas: everything that waits goes
// into one engine batch with one sync, then the responses leave (I2).
type logWriter struct {
	s    *Store
	wake chan struct{}
	done chan struct{}
	// unsynced: something that a response attests was written without a sync.
	// Only the writer's goroutine touches it.
	unsynced bool

	mu     sync.Mutex
	queue  []appendItem
	closed bool
}

// appendItem is one MsgStorageAppend, or a barrier.
type appendItem struct {
	r       *Replica
	msg     *raftpb.Message
	staged  *stagedSnapshot // with a snapshot: its data
	barrier chan struct{}
}

func newLogWriter(s *Store) *logWriter {
	return &logWriter{s: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (w *logWriter) enqueue(it appendItem) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.queue = append(w.queue, it)
	}
	w.mu.Unlock()
	if closed && it.barrier != nil {
		close(it.barrier)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// flush waits until everything enqueued before is written. What no response
// attested may not be durable.
func (w *logWriter) flush() {
	b := make(chan struct{})
	w.enqueue(appendItem{barrier: b})
	<-b
}

func (w *logWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	<-w.done
}

func (w *logWriter) run() {
	defer close(w.done)
	for {
		w.mu.Lock()
		items, closed := w.queue, w.closed
		w.queue = nil
		w.mu.Unlock()
		if len(items) > 0 {
			w.write(items)
			continue
		}
		if closed {
			return
		}
		<-w.wake
		runtime.Gosched() // what other replicas are about to append shares the sync
	}
}

// write handles items in order; a raft snapshot ends a batch.
func (w *logWriter) write(items []appendItem) {
	for len(items) > 0 {
		n := 0
		for n < len(items) && items[n].staged == nil {
			n++
		}
		if n > 0 {
			w.append(items[:n])
		}
		if n < len(items) {
			w.ingest(items[n])
			n++
		}
		items = items[n:]
	}
}

// append writes one batch, synced if a response attests something that is not
// durable yet. A commit index alone attests nothing.
func (w *logWriter) append(items []appendItem) {
	batch := w.s.opts.Engine.NewBatch()
	responses := false
	for _, it := range items {
		if it.msg == nil {
			continue
		}
		hs := hardStateOf(it.msg)
		if err := batch.AppendLog(it.r.id, it.msg.GetEntries(), hs); err != nil {
			batch.Close()
			w.s.fault("append to the log", err)
			return
		}
		w.unsynced = w.unsynced || len(it.msg.GetEntries()) > 0 || it.r.written.changedBy(hs)
		responses = responses || len(it.msg.GetResponses()) > 0
	}
	sync := responses && w.unsynced
	if err := batch.Commit(sync); err != nil {
		w.s.fault("commit log appends", err)
		return
	}
	if sync {
		w.unsynced = false
		w.s.metrics.logBatches.Inc()
	}
	for _, it := range items {
		if it.barrier != nil {
			close(it.barrier)
			continue
		}
		w.respond(it)
	}
}

// writtenVote is the term and vote of a replica that the writer wrote last.
type writtenVote struct{ term, vote uint64 }

// changedBy notes a hard state and reports whether its term or vote is new.
func (v *writtenVote) changedBy(hs *raftpb.HardState) bool {
	if hs == nil {
		return false
	}
	next := writtenVote{hs.GetTerm(), hs.GetVote()}
	changed := *v != next
	*v = next
	return changed
}

func (w *logWriter) respond(it appendItem) {
	for _, m := range it.msg.GetResponses() {
		if m.GetTo() == uint64(it.r.replicaID) {
			it.r.receive(m)
		} else {
			it.r.transmit(m)
		}
	}
}

// ingest replaces a replica's data by a raft snapshot, then writes what came
// with it. The engine syncs its log before (P47).
func (w *logWriter) ingest(it appendItem) {
	if err := it.staged.ingest(w.s.opts.Engine, hardStateOf(it.msg)); err != nil {
		w.s.fault("ingest raft snapshot", err)
		return
	}
	w.append([]appendItem{{r: it.r, msg: it.msg}})
}

// hardStateOf returns the hard state of a MsgStorageAppend, nil if it has none.
func hardStateOf(m *raftpb.Message) *raftpb.HardState {
	hs := &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	if raft.IsEmptyHardState(hs) {
		return nil
	}
	return hs
}

var _ raft.Storage = (*storage.Log)(nil)
