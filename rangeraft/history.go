package rangeraft

import (
	"bytes"
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func (r *Replica) doHistory(ctx context.Context, op *pontoonpb.RangeOp, h *pontoonpb.HistoryOp) *pontoonpb.RangeReply {
	span, to := proto.SpanOf(op.Span), proto.Revision(h.To)
	if e := r.closedOrGate(ctx, span, to); e != nil {
		return &pontoonpb.RangeReply{Error: e}
	}
	v, err := r.openOver(span)
	if err != nil {
		return refusal(err)
	}
	defer v.close()
	from := proto.Revision(h.From)
	if from < v.floor {
		return refusal(proto.BelowFloor(v.floor))
	}
	found := firstChanges{maxBytes: h.MaxBytes, covered: h.To}
	err = v.Changes(span, from, to, func(ver *storage.Version) (bool, error) {
		if int64(ver.ModRevision) <= found.covered {
			found.add(changeEvent(ver))
		}
		return true, nil
	})
	if err != nil {
		return refusal(err)
	}
	events, covered := found.first()
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_History{History: &pontoonpb.HistoryReply{
		Events: events, Covered: covered}}}
}

// firstChanges keeps the first changes of a span, which come key by key: never more than
// twice maxBytes of them, however many there are, but for those of one revision.
type firstChanges struct {
	maxBytes int64 // 0: all
	covered  int64 // what is kept is complete up to here
	events   []*pontoonpb.ChangeEvent
	bytes    int64 // of events
	room     int64 // cut when they are more
}

func (h *firstChanges) add(e *pontoonpb.ChangeEvent) {
	h.events = append(h.events, e)
	if h.bytes += int64(e.SizeVT()); h.maxBytes > 0 && h.bytes > max(h.room, 2*h.maxBytes) {
		h.cut()
		h.room = 2 * h.bytes // a revision is not cut: do not try at each of its changes
	}
}

// cut drops what is behind the first maxBytes.
func (h *firstChanges) cut() {
	var kept []*pontoonpb.ChangeEvent
	kept, h.covered = wholeRevisions(h.events, h.maxBytes, h.covered)
	clear(h.events[len(kept):])
	h.events, h.bytes = kept, 0
	for _, e := range kept {
		h.bytes += int64(e.SizeVT())
	}
}

// first returns what is kept, in order, and up to where that is all.
func (h *firstChanges) first() ([]*pontoonpb.ChangeEvent, int64) {
	return wholeRevisions(h.events, h.maxBytes, h.covered)
}

// wholeRevisions sorts events and cuts them after whole revisions once they
// exceed maxBytes. covered is up to where they are complete.
func wholeRevisions(events []*pontoonpb.ChangeEvent, maxBytes, to int64) ([]*pontoonpb.ChangeEvent, int64) {
	slices.SortFunc(events, func(a, b *pontoonpb.ChangeEvent) int {
		if d := a.Event.Kv.ModRevision - b.Event.Kv.ModRevision; d != 0 {
			return int(min(max(d, -1), 1))
		}
		return int(min(max(a.Sub-b.Sub, -1), 1))
	})
	size := int64(0)
	for i, e := range events {
		if i > 0 && maxBytes > 0 && size > maxBytes && e.Event.Kv.ModRevision != events[i-1].Event.Kv.ModRevision {
			return events[:i], events[i-1].Event.Kv.ModRevision
		}
		size += int64(e.SizeVT())
	}
	return events, to
}

// changeEvent copies a version into an event.
func changeEvent(ver *storage.Version) *pontoonpb.ChangeEvent {
	if !ver.Tombstone {
		return &pontoonpb.ChangeEvent{Event: &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: ownedKeyValue(ver)}, Sub: ver.Sub}
	}
	k, _ := keys.UserKey(ver.Key)
	return &pontoonpb.ChangeEvent{Sub: ver.Sub, Event: &mvccpb.Event{Type: mvccpb.Event_DELETE,
		Kv: &mvccpb.KeyValue{Key: bytes.Clone(k), ModRevision: int64(ver.ModRevision)}}}
}
