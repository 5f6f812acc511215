package rangeraft

import (
	"context"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

const (
	// backupCloseTimeout bounds the wait of a replica for its closed revision.
	backupCloseTimeout = 5 * time.Second
	backupPushEvery    = 20 * time.Millisecond
)

// BackupPart is a piece of one range.
type BackupPart struct {
	Range proto.RangeID
	Span  proto.Span
}

// Backup is one engine view in which every part is closed at the revision of
// the backup (P44): everything at or below it is there, whatever is written or
// dropped from then on. It must be closed, and is used by one goroutine.
type Backup struct {
	s     *Store
	view  *storage.View
	rev   proto.Revision
	parts []BackupPart
	floor proto.Revision
}

// OpenBackup waits until every part is closed at rev by its replica here and
// pins a view. It refuses like an operation on the range: RANGE_MISMATCH or
// RANGE_NOT_FOUND where the part is not here any more, BELOW_FLOOR if versions
// at rev may have been dropped.
func (s *Store) OpenBackup(ctx context.Context, rev proto.Revision, parts []BackupPart) (*Backup, error) {
	s.PushClosed(rev)
	for _, p := range parts {
		if err := s.awaitClosed(ctx, rev, p); err != nil {
			return nil, err
		}
	}
	if !s.hold() {
		return nil, unavailable("node is stopping")
	}
	view, err := s.opts.Engine.NewLongView()
	if err != nil {
		s.wg.Done()
		return nil, err
	}
	b := &Backup{s: s, view: view, rev: rev, parts: parts, floor: proto.NeverCompacted}
	for _, p := range parts {
		if err := b.check(p); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// hold makes Close wait, until s.wg.Done: the engine outlives its views. false:
// the store is closing.
func (s *Store) hold() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.stopped {
		return false
	}
	s.wg.Add(1)
	return true
}

func (s *Store) awaitClosed(ctx context.Context, rev proto.Revision, p BackupPart) error {
	ctx, cancel := context.WithTimeout(ctx, backupCloseTimeout)
	defer cancel()
	op := &pontoonpb.RangeOp{RangeId: uint64(p.Range), Span: p.Span.Wire()}
	for {
		r, refused := s.lookup(op)
		if refused != nil {
			return refused
		}
		e := r.closedOrGate(ctx, p.Span, rev)
		if e == nil {
			return nil
		}
		if e.Code != pontoonpb.RangeErrorCode_STALE_CLOSED {
			return proto.FromWire(e)
		}
		select {
		case <-time.After(backupPushEvery):
			s.PushClosed(rev)
		case <-ctx.Done():
			return unavailable("range %d is not closed at revision %d here: %v", p.Range, rev, ctx.Err())
		case <-s.ctx.Done():
			return unavailable("node is stopping")
		}
	}
}

// check makes sure of the part in the view itself: the replica may have been
// split or removed since it was closed (P21), and its floor goes with the data
// (P41).
func (b *Backup) check(p BackupPart) error {
	d, err := b.view.Descriptor(p.Range)
	if err != nil {
		return proto.Errorf(pontoonpb.RangeErrorCode_RANGE_NOT_FOUND, "%v", err)
	}
	if !proto.SpanOf(d.Span).Covers(p.Span) {
		return proto.Mismatch(d)
	}
	st, err := b.view.Applied(p.Range)
	if err != nil {
		return err
	}
	if st.Floor > b.rev {
		return proto.BelowFloor(st.Floor)
	}
	b.floor = max(b.floor, st.Floor)
	return nil
}

// Floor returns the highest floor of the parts.
func (b *Backup) Floor() proto.Revision { return b.floor }

// Scan calls fn for what the parts retain at the backup's revision under a
// floor that is at least Floor (storage.View.Retained). It ends early when the
// store stops.
func (b *Backup) Scan(floor proto.Revision, fn func(ver *storage.Version, newest bool) error) error {
	for _, p := range b.parts {
		err := b.view.Retained(p.Span, b.rev, floor, func(ver *storage.Version, newest bool) error {
			if b.s.ctx.Err() != nil {
				return unavailable("node is stopping")
			}
			return fn(ver, newest)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close releases the view.
func (b *Backup) Close() {
	if err := b.view.Close(); err != nil {
		b.s.fault("close a view", err)
	}
	b.s.wg.Done()
}
