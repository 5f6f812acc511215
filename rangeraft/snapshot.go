package rangeraft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	goproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
	"github.com/pontoon-kv/pontoon/storage"
)

// stagedSnapshot is a received raft snapshot on its way through raft, with all
// that is local to the range (P47).
type stagedSnapshot struct {
	data *storage.StagedSnapshot
	self proto.ReplicaID
	done chan error // buffered; one result
}

func (st *stagedSnapshot) ingest(_ *storage.Engine, hs *raftpb.HardState) error {
	err := st.data.Ingest(context.Background(), hs, st.self)
	st.done <- err
	return err
}

func (st *stagedSnapshot) discard() {
	err := errors.Join(errors.New("raft did not want the snapshot"), st.data.Discard())
	select {
	case st.done <- err:
	default:
	}
}

func (r *Replica) isGone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// startSnapshot answers raft's wish to send a snapshot: the data is streamed
// from a view, whose own applied state then counts.
func (r *Replica) startSnapshot(m *raftpb.Message) {
	to := proto.ReplicaID(m.GetTo())
	node := nodeOf(r.desc.Load(), to)
	if _, busy := r.sending[to]; busy || node == 0 {
		r.rn.ReportSnapshot(m.GetTo(), raft.SnapshotFailure)
		return
	}
	o := &outgoing{index: proto.Index(m.GetSnapshot().GetMetadata().GetIndex())}
	if r.sending == nil {
		r.sending = map[proto.ReplicaID]*outgoing{}
	}
	r.sending[to] = o
	r.s.background(func() {
		err := r.s.sendSnapshot(r, node, m, o)
		result, status := "ok", raft.SnapshotFinish
		if err != nil {
			result, status = "failed", raft.SnapshotFailure
			r.log.Warn("raft snapshot not sent", slog.Uint64("node", uint64(node)), slog.Any("error", err))
		}
		r.s.metrics.snapshotsSent.WithLabelValues(result).Inc()
		r.post(func() {
			delete(r.sending, to)
			r.rn.ReportSnapshot(m.GetTo(), status)
		})
	})
}

// sendSnapshot streams the range, at most a few at a time and at a bounded
// rate.
func (s *Store) sendSnapshot(r *Replica, node proto.NodeID, m *raftpb.Message, o *outgoing) error {
	select {
	case s.snapshots <- struct{}{}:
		defer func() { <-s.snapshots }()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	v, err := s.opts.Engine.NewLongView()
	if err != nil {
		return err
	}
	defer v.Close()
	st, err := v.Applied(r.id)
	if err != nil {
		return err
	}
	desc, err := v.Descriptor(r.id)
	if err != nil {
		return err
	}
	m = goproto.Clone(m).(*raftpb.Message)
	meta := m.Snapshot.Metadata
	meta.Index, meta.Term = new(uint64(st.Index)), new(uint64(st.Term))
	meta.ConfState = storage.ConfState(desc)
	wrapped, err := r.wrap(m)
	if err != nil {
		return err
	}
	header := &pontoonpb.SnapshotHeader{Message: wrapped, Desc: desc, Session: rand.Uint64()}
	if total, err := s.opts.Engine.SizeOf(proto.SpanOf(desc.Span)); err == nil {
		o.total.Store(total)
	}
	return s.streamSnapshot(r, v, node, header, o)
}

// streamSnapshot sends the view, again from where it broke off for a few times.
func (s *Store) streamSnapshot(r *Replica, v *storage.View, node proto.NodeID, header *pontoonpb.SnapshotHeader, o *outgoing) error {
	for attempt := 0; ; attempt++ {
		o.bytes.Store(header.Offset)
		skip := int(header.Offset)
		err := s.transport.SendSnapshot(s.ctx, node, header, func(emit func([]byte) error) error {
			_, err := v.Export(r.id, emitWriter(func(p []byte) error {
				n := min(skip, len(p))
				if skip, p = skip-n, p[n:]; len(p) == 0 {
					return nil
				}
				o.bytes.Add(int64(len(p)))
				return emit(p)
			}))
			return err
		})
		if err == nil || errors.Is(err, transport.ErrSnapshotRefused) || attempt == snapshotRetries {
			return err
		}
		r.log.Info("raft snapshot broke off", slog.Uint64("node", uint64(node)), slog.Int64("bytes", o.bytes.Load()), slog.Any("error", err))
		if full := s.stepAside(snapshotRetry << attempt); full != nil {
			return errors.Join(err, full)
		}
		if header.Offset, err = s.transport.SnapshotHave(s.ctx, node, header); err != nil {
			header.Offset = 0 // it is asked again if this fails, too
		}
	}
}

// stepAside waits without the token of sendSnapshot, so that a node that does
// not answer keeps no other one waiting. Only so many views are kept meanwhile:
// who finds no room gives up, and raft asks again when the node is heard of.
func (s *Store) stepAside(d time.Duration) error {
	select {
	case s.aside <- struct{}{}:
	default:
		return errors.New("too many raft snapshots broke off")
	}
	defer func() { <-s.aside }()
	<-s.snapshots
	select {
	case <-s.after(d):
	case <-s.ctx.Done():
	}
	s.snapshots <- struct{}{} // whoever holds it ends with ctx at the latest
	return s.ctx.Err()
}

// emitWriter turns chunks into writes; what it is given is copied.
type emitWriter func([]byte) error

func (w emitWriter) Write(p []byte) (int, error) {
	if err := w(append([]byte(nil), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// receiveSnapshot stages a stream beside the engine, then lets raft decide. It
// returns when the snapshot is ingested or refused.
func (s *Store) receiveSnapshot(ctx context.Context, header *pontoonpb.SnapshotHeader, next func() ([]byte, error)) error {
	err := s.takeSnapshot(ctx, header, next)
	result := "ok"
	if err != nil {
		result = "failed"
	}
	s.metrics.snapshotsTaken.WithLabelValues(result).Inc()
	return err
}

func (s *Store) takeSnapshot(ctx context.Context, header *pontoonpb.SnapshotHeader, next func() ([]byte, error)) error {
	m := &raftpb.Message{}
	if err := goproto.Unmarshal(header.GetMessage().GetMessage(), m); err != nil {
		return err
	}
	id := proto.RangeID(header.GetDesc().GetRangeId())
	if m.GetType() != raftpb.MsgSnap || uint64(id) != header.Message.RangeId {
		return errors.New("not a raft snapshot of the range")
	}
	r := s.receiver(proto.NodeID(header.FromNode), header.Message, m)
	if r == nil {
		return errors.New("no such replica here")
	}
	e, data, err := s.sessions.receive(header, next)
	if err != nil {
		return err
	}
	defer s.sessions.end(id, e)
	st := &stagedSnapshot{data: data, self: r.replicaID, done: make(chan error, 1)}
	applied := data.Applied()
	meta := m.GetSnapshot().GetMetadata()
	if proto.Index(meta.GetIndex()) != applied.Index || proto.Term(meta.GetTerm()) != applied.Term {
		return errors.Join(errors.New("snapshot is not the one its message names"), data.Discard())
	}
	r.post(func() { r.offerSnapshot(m, st) })
	for {
		select {
		case err := <-st.done:
			return err
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-s.after(s.opts.electionTimeout()):
		}
		if r.isGone() { // it may never look at the offer
			s.writer.flush() // what it accepted before is ingested
			st.discard()
		}
	}
}

// reserve keeps a span for an incoming raft snapshot, so that what is free now
// is free when raft has accepted it: two snapshots taken in at a time, of a
// range before a split and of its right side, must not both be ingested (P45).
// The engine's descriptors count: it has them before the replicas show them.
// What was merged into the range before goes when its snapshot comes (P46).
func (s *Store) reserve(desc *pontoonpb.Descriptor) error {
	id, span := proto.RangeID(desc.RangeId), proto.SpanOf(desc.Span)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.incoming[id]; busy {
		return fmt.Errorf("a raft snapshot of range %d is being received", id)
	}
	if err := s.freeLocked(desc); err != nil {
		return err
	}
	var inTheWay overlapsReceived
	for other, taken := range s.incoming {
		if taken.Overlaps(span) {
			inTheWay = append(inTheWay, other)
		}
	}
	if len(inTheWay) > 0 {
		return inTheWay
	}
	s.incoming[id] = span
	return nil
}

// overlapsReceived refuses a raft snapshot for the sake of others that are being
// received.
type overlapsReceived []proto.RangeID

func (o overlapsReceived) Error() string {
	return fmt.Sprintf("span overlaps ranges %v, which are being received", []proto.RangeID(o))
}

// freeLocked refuses a raft snapshot whose span something else of this node
// holds or may yet come to hold.
func (s *Store) freeLocked(desc *pontoonpb.Descriptor) error {
	id, span := proto.RangeID(desc.RangeId), proto.SpanOf(desc.Span)
	overlaps := func(other proto.RangeID) *pontoonpb.Descriptor {
		d := s.opts.Engine.Log(other).Descriptor()
		if other == id || d == nil || !proto.SpanOf(d.Span).Overlaps(span) {
			return nil
		}
		return d
	}
	for other := range s.splitting { // it is being made or taken in: see what comes of it
		if overlaps(other) != nil {
			return fmt.Errorf("span overlaps range %d, which is changing", other)
		}
	}
	for other, r := range s.replicas {
		d := overlaps(other)
		if d == nil {
			continue
		}
		if !storage.Subsumes(desc, d) {
			return fmt.Errorf("span overlaps range %d of this node", other)
		}
		if bytes.Equal(d.Span.Start, desc.Span.Start) && s.awaitsTrigger(d, r.merge.Load().GetStep()) {
			return fmt.Errorf("range %d is yet to be merged on this node", other)
		}
	}
	return nil
}

// awaitsTrigger reports whether the left range of a merge may yet apply its
// trigger here, for which it needs the frozen right range (P46). A range that
// was merged into its left neighbour and split off at the same key again has
// another id: its snapshot must not take the right range from a left one that
// is behind. Whoever holds a key only ever has a higher generation than who
// held it before, so the holder of what lies before the right range tells.
func (s *Store) awaitsTrigger(right *pontoonpb.Descriptor, step *pontoonpb.MergeStep) bool {
	if step.GetKind() != pontoonpb.MergeStep_FREEZE {
		return false // what was merged was no replica of this node
	}
	for id := range s.replicas {
		d := s.opts.Engine.Log(id).Descriptor()
		if d != nil && bytes.Compare(d.Span.Start, right.Span.Start) < 0 && bytes.Compare(d.Span.End, right.Span.Start) >= 0 {
			return d.Generation <= max(step.Left.GetGeneration(), step.Right.GetGeneration())
		}
	}
	return s.replicas[proto.RangeID(step.GetId().GetLeftRangeId())] != nil // its snapshot is to come
}

func (s *Store) release(id proto.RangeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.incoming, id)
}

// offerSnapshot hands a staged snapshot to raft and drops it if raft has moved
// on meanwhile.
func (r *Replica) offerSnapshot(m *raftpb.Message, st *stagedSnapshot) {
	r.s.mu.RLock()
	err := r.s.freeLocked(st.data.Descriptor()) // as when it began, which may be long ago
	r.s.mu.RUnlock()
	if err != nil {
		st.done <- errors.Join(err, st.data.Discard())
		return
	}
	r.staged = append(r.staged, st)
	r.step(m)
	r.ready()
	for _, left := range r.staged {
		left.discard()
	}
	r.staged = nil
}

// takeStaged returns the data of the snapshot that raft accepted.
func (r *Replica) takeStaged(snap *raftpb.Snapshot) *stagedSnapshot {
	for i, st := range r.staged {
		if uint64(st.data.Applied().Index) == snap.GetMetadata().GetIndex() {
			r.staged = append(r.staged[:i], r.staged[i+1:]...)
			return st
		}
	}
	r.s.fault("find the data of a raft snapshot", fmt.Errorf("index %d", snap.GetMetadata().GetIndex()))
	return nil
}

// snapshotApplied takes over the state that a raft snapshot brought. Feeds end
// and resume by scan (P23).
func (r *Replica) snapshotApplied() {
	r.subsumed()
	log := r.s.opts.Engine.Log(r.id)
	r.state = log.Applied()
	r.counts.reset(r.state.Index, r.state.LiveKeys)
	d := log.Descriptor()
	r.setDescriptor(d)
	if err := r.loadMerge(); err != nil {
		r.s.fault("read the merge of a range", err)
		return
	}
	r.state0.close()
	r.s.closing.forget(r.id)
	// Before the new position shows: a side stream that closes at it meanwhile would
	// tell feeds so that miss the entries which the snapshot stands for.
	r.hub.Reset(proto.SpanOf(d.Span), d.Generation, r.state.Closed,
		proto.Errorf(pontoonpb.RangeErrorCode_UNAVAILABLE, "a raft snapshot replaced the replica"))
	r.publish()
	r.log.Info("raft snapshot applied", slog.Uint64("index", uint64(r.state.Index)))
}
