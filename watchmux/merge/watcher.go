package merge

import (
	"bytes"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Why a watcher cannot be created; the texts are etcd's cancel reasons.
var (
	ErrEmptyRange  = errors.New("mvcc: watcher range is empty")
	ErrDuplicateID = errors.New("mvcc: duplicate watch ID provided on the WatchStream")
)

// Spec is what a client asks for.
type Spec struct {
	ID       int64 // 0: the group assigns one
	Key, End []byte
	Start    proto.Revision // 0: after the current revision
	NoPut    bool
	NoDelete bool
	PrevKV   bool
	Fragment bool
	Progress bool // periodic progress notices
}

// Watcher is one watch of a client.
type Watcher struct {
	ID    int64
	Spec  Spec
	group *Group
	seq   uint64

	key, end []byte // end nil: open, or a point
	point    bool
	span     proto.Span

	next     proto.Revision // below it all is queued or was never wanted
	synced   bool           // etcd would call it synced (progress, quirk 33)
	historic bool           // what the next Finish emits is history: many revisions a response
	joining  bool           // joined, its history is not complete
	dead     bool           // compacted away; the client has yet to cancel it
	gone     bool           // canceled

	cover     *cover // nil: not joined
	run       []*Change
	held      []*Change // released by parts, above resolved or while joining
	heldBytes int
	heldHigh  proto.Revision

	lastEvent proto.Revision
	header    proto.Revision // of the last response with events
	quiet     bool           // no event since the last periodic tick

	// Tag belongs to the driver.
	Tag any
}

// Group returns the watcher's stream.
func (w *Watcher) Group() *Group { return w.group }

// Span returns the watched span of internal keys.
func (w *Watcher) Span() proto.Span { return w.span }

// Next returns the revision from which on the client has yet to be told.
func (w *Watcher) Next() proto.Revision { return w.next }

// Live reports whether the watcher follows its parts.
func (w *Watcher) Live() bool { return w.cover != nil && !w.joining }

// Joined reports whether the watcher gets what parts release, possibly to
// hold it until its history is complete.
func (w *Watcher) Joined() bool { return w.cover != nil }

// Historic reports whether the watcher catches up: what it lacks is history.
func (w *Watcher) Historic() bool { return w.historic }

// Over reports that nothing more is sent to the watcher.
func (w *Watcher) Over() bool { return w.gone || w.dead }

// Create adds a watcher to the group and queues its created response with
// revision now as header. It delivers from spec.Start on, or from now+1. The
// watcher gets nothing until Join.
func (m *Mux) Create(g *Group, spec Spec, now proto.Revision) (*Watcher, error) {
	w := &Watcher{Spec: spec, group: g, key: spec.Key, quiet: true}
	switch {
	case len(spec.End) == 0:
		w.point = true
	case len(spec.End) == 1 && spec.End[0] == 0:
	case bytes.Compare(spec.Key, spec.End) >= 0:
		return nil, ErrEmptyRange
	default:
		w.end = spec.End
	}
	w.span = keys.UserRangeSpan(spec.Key, spec.End)
	id, err := g.assign(spec.ID)
	if err != nil {
		return nil, err
	}
	m.nextWatcher++
	w.ID, w.seq = id, m.nextWatcher
	w.next, w.synced = spec.Start, spec.Start == 0 || spec.Start > now
	if spec.Start == 0 {
		w.next = now + 1
	}
	w.historic = !w.synced
	g.watchers[id] = w
	m.queue(g, Item{Kind: Created, Watcher: w, ID: id, Revision: now})
	return w, nil
}

// Cancel ends a watcher on the client's wish and queues the answer; false:
// the id is not known.
func (m *Mux) Cancel(g *Group, id int64, now proto.Revision) bool {
	w := g.watchers[id]
	if w == nil {
		return false
	}
	m.leave(w)
	w.gone = true
	delete(g.watchers, id)
	if w.dead {
		g.dead--
	}
	m.queue(g, Item{Kind: Canceled, Watcher: w, ID: id, Revision: now})
	m.answer(g)
	return true
}

// Compact ends a watcher whose next revision is below the floor. As in etcd
// the id stays taken until the client cancels it.
func (m *Mux) Compact(w *Watcher, floor proto.Revision) {
	if w.Over() {
		return
	}
	m.leave(w)
	w.dead = true
	w.group.dead++
	m.queue(w.group, Item{Kind: Compacted, Watcher: w, ID: w.ID, Revision: floor})
	m.answer(w.group)
}

// wants reports whether the watcher is to see the change.
func (w *Watcher) wants(c *Change) bool {
	if c.Rev < w.next {
		return false
	}
	if c.Event.Type == mvccpb.Event_DELETE {
		return !w.Spec.NoDelete
	}
	return !w.Spec.NoPut
}

// watches reports whether the key lies in the watcher's span.
func (w *Watcher) watches(key []byte) bool {
	if w.point {
		return bytes.Equal(key, w.key)
	}
	return bytes.Compare(key, w.key) >= 0 && (w.end == nil || bytes.Compare(key, w.end) < 0)
}
