package diff

import (
	"context"
	"fmt"
	"sort"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// historyEvent is one event of the oracle, as far as it decides who gets it.
type historyEvent struct {
	rev    int64
	delete bool
	key    string
}

// history is every event of a run in order, from a witness watch on the oracle. It
// says how many events each watcher must get (D4).
type history struct {
	st     *stream
	events []historyEvent // guarded by st.mu
}

func newHistory(ctx context.Context, oracle *side) (*history, error) {
	st, err := oracle.openStream(ctx, 0, "")
	if err != nil {
		return nil, err
	}
	h := &history{st: st}
	st.mu.Lock()
	st.onEvent = h.add
	st.mu.Unlock()
	everything := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 2}
	err = st.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: everything}})
	if err != nil {
		st.close()
		return nil, err
	}
	return h, nil
}

func (h *history) add(events []*mvccpb.Event) {
	for _, e := range events {
		h.events = append(h.events, historyEvent{rev: e.Kv.ModRevision, delete: e.Type == mvccpb.Event_DELETE, key: string(e.Kv.Key)})
	}
}

// reach waits until the witness has seen the given revision. Every revision above 1
// has at least one event.
func (h *history) reach(ctx context.Context, rev int64) error {
	reached := h.st.wait(ctx, func() bool {
		h.drop()
		n := len(h.events)
		return rev <= 1 || n > 0 && h.events[n-1].rev >= rev
	})
	if !reached {
		return fmt.Errorf("diff: the witness on the oracle did not reach revision %d: %s", rev, h.st.fate())
	}
	return nil
}

// drop forgets the witness's full events, which history keeps in short form.
func (h *history) drop() {
	for _, w := range h.st.watchers {
		w.groups = nil
	}
}

// count returns how many events at or after position pos a watcher gets, and the
// position behind them.
func (h *history) count(pos int, c *pb.WatchCreateRequest) (events, next int) {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	for _, e := range h.events[pos:] {
		if watches(c, e) {
			events++
		}
	}
	return events, len(h.events)
}

// position is the index of the first event at or after a revision.
func (h *history) position(rev int64) int {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	return sort.Search(len(h.events), func(i int) bool { return h.events[i].rev >= rev })
}

// changesKeyTwice reports whether a key was changed twice at a revision. A txn can do
// that: etcd's check for duplicate keys takes the range end "\0" of a deletion for an
// inverted range.
func (h *history) changesKeyTwice(rev int64) bool {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	seen := map[string]bool{}
	i := sort.Search(len(h.events), func(i int) bool { return h.events[i].rev >= rev })
	for ; i < len(h.events) && h.events[i].rev == rev; i++ {
		if seen[h.events[i].key] {
			return true
		}
		seen[h.events[i].key] = true
	}
	return false
}

// watches reports whether a watcher that started early enough gets an event.
func watches(c *pb.WatchCreateRequest, e historyEvent) bool {
	for _, f := range c.Filters {
		if f == pb.WatchCreateRequest_NODELETE && e.delete || f == pb.WatchCreateRequest_NOPUT && !e.delete {
			return false
		}
	}
	key, end := string(c.Key), string(c.RangeEnd)
	if key == "" {
		key = "\x00"
	}
	switch end {
	case "":
		return e.key == key
	case "\x00":
		return e.key >= key
	}
	return e.key >= key && e.key < end
}
