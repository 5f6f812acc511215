package feed

import (
	"iter"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// scan is the engine's part of a subscription, pulled a message at a time.
type scan struct {
	open     OpenView
	started  bool
	finished bool
	index    proto.Index    // applied index of the view
	high     proto.Revision // highest revision met
	err      error
	view     View
	next     func() (*pontoonpb.ChangeEvent, bool)
	stop     func()
}

// start takes the view. It runs after the subscription was registered, so that
// every batch published later than registration and not in the view stays in
// the queue (I1).
func (c *scan) start(s *Subscription) error {
	c.started = true
	view, err := c.open()
	if err != nil {
		return err
	}
	c.view = view
	index, floor, err := view.Applied()
	if err != nil {
		return err
	}
	if s.from < floor {
		return proto.BelowFloor(floor)
	}
	c.index = index
	changes := func(yield func(*pontoonpb.ChangeEvent) bool) {
		c.err = view.Changes(s.span, s.from, unknown, yield)
	}
	c.next, c.stop = iter.Pull(iter.Seq[*pontoonpb.ChangeEvent](changes))
	return nil
}

// pull returns the next events, about one message of them. None and finished
// set: that was all.
func (c *scan) pull(s *Subscription) ([]*pontoonpb.ChangeEvent, error) {
	if !c.started {
		if err := c.start(s); err != nil {
			c.close()
			return nil, err
		}
	}
	var events []*pontoonpb.ChangeEvent
	for size := 0; size < s.cut && !c.finished; {
		e, ok := c.next()
		if !ok {
			c.finished = true
			break
		}
		size += sizeOf(e)
		c.high = max(c.high, revisionOf(e))
		events = append(events, e)
	}
	return events, c.err
}

// close releases the view.
func (c *scan) close() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	if c.view != nil {
		c.view.Close()
		c.view = nil
	}
}

func internalKey(e *pontoonpb.ChangeEvent) []byte {
	return keys.User(e.GetEvent().GetKv().GetKey())
}
