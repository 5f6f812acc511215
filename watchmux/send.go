package watchmux

import (
	"bytes"
	"context"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	pontoon "github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/watchmux/merge"
)

const (
	sendItems     = 256
	sendBytes     = 1 << 20
	prevAtOneTime = 32
)

// send drains the group's queue to the client, in order.
func (st *stream) send() {
	for {
		items := st.take()
		if len(items) == 0 {
			select {
			case <-st.ctx.Done():
				return
			case <-st.signal:
			}
			continue
		}
		if !st.lookUp(items) {
			return
		}
		for _, it := range items {
			if err := st.sendOne(it); err != nil {
				st.cancel(err)
				return
			}
		}
		select {
		case st.drained <- struct{}{}:
		default:
		}
	}
}

// take returns the next items and brings parked watchers back once half of the
// queue is free.
func (st *stream) take() []merge.Item {
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	items := s.kernel.Take(st.group, sendItems, sendBytes)
	if len(st.parked) > 0 && st.group.Backlog() <= s.opts.Limits.GroupBytes/2 {
		for _, t := range st.parked {
			s.readyLocked(t)
		}
		st.parked = nil
	}
	return items
}

// lookUp finds the previous values that the items need, each once (P25). It
// tries until it has them: an event that lacks its previous value for another
// reason than compaction would break its reader. False: the stream ended.
func (st *stream) lookUp(items []merge.Item) bool {
	var todo []*merge.Change
	known := map[*merge.Change]struct{}{}
	for _, it := range items {
		if it.Kind != merge.Events || !it.Watcher.Spec.PrevKV {
			continue
		}
		for _, c := range it.Changes {
			if _, dup := known[c]; dup || c.Creates() || c.Prev.Load() != nil {
				continue
			}
			known[c] = struct{}{}
			todo = append(todo, c)
		}
	}
	for retry := firstRetry; len(todo) > 0; retry = min(2*retry, lastRetry) {
		todo = st.s.previous(st.ctx, todo)
		if st.ctx.Err() != nil {
			return false
		}
		if len(todo) > 0 && !pause(st.ctx, jitter(retry)) {
			return false
		}
	}
	return true
}

// previous looks up what came before the changes, many at a time, and returns
// those that failed.
func (s *Service) previous(ctx context.Context, changes []*merge.Change) (failed []*merge.Change) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, prevAtOneTime)
	for _, c := range changes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			kv, err := s.ports.History.Previous(ctx, c.Event.Kv.Key, c.Rev-1)
			if err == nil {
				c.Prev.Store(&merge.Prev{KV: kv})
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, c)
		})
	}
	wg.Wait()
	return failed
}

func (st *stream) header(rev pontoon.Revision) *etcdserverpb.ResponseHeader {
	o := &st.s.opts
	return &etcdserverpb.ResponseHeader{
		ClusterId: o.ClusterID, MemberId: o.MemberID, RaftTerm: o.RaftTerm(), Revision: int64(rev)}
}

// sendOne turns an item into etcd's response.
func (st *stream) sendOne(it merge.Item) error {
	r := &etcdserverpb.WatchResponse{Header: st.header(it.Revision), WatchId: it.ID}
	switch it.Kind {
	case merge.Created:
		r.Created = true
	case merge.Refused:
		r.Created, r.Canceled, r.CancelReason = true, true, it.Reason
	case merge.Canceled:
		r.Canceled = true
	case merge.Compacted:
		r.Header.Revision = 0 // quirk 29
		r.Canceled, r.CompactRevision = true, int64(it.Revision)
	case merge.Events:
		r.Events = events(it, st.s.ports.Sequencer.Floor())
		st.s.metrics.events.Add(float64(len(r.Events)))
		if it.Watcher.Spec.Fragment {
			return sendFragments(r, st.s.opts.MaxRequestBytes+fragmentOverhead, st.grpc.Send)
		}
	}
	return st.grpc.Send(r)
}

// events adds the previous values that are not below the floor now, however
// early they were looked up (P25).
func events(it merge.Item, floor pontoon.Revision) []*mvccpb.Event {
	out := make([]*mvccpb.Event, len(it.Changes))
	for i, c := range it.Changes {
		out[i] = c.Event
		if !it.Watcher.Spec.PrevKV {
			continue
		}
		if prev := c.Prev.Load(); prev != nil && prev.KV != nil && c.Rev-1 >= floor {
			out[i] = &mvccpb.Event{Type: c.Event.Type, Kv: c.Event.Kv, PrevKv: prev.KV}
		}
	}
	return out
}

// sendFragments sends a response in pieces below limit if it is larger and has
// several events; all but the last are marked. An event larger than the limit
// goes alone.
func sendFragments(r *etcdserverpb.WatchResponse, limit int, send func(*etcdserverpb.WatchResponse) error) error {
	if len(r.Events) < 2 || proto.Size(r) < limit {
		return send(r)
	}
	frame := proto.Size(&etcdserverpb.WatchResponse{Header: r.Header, WatchId: r.WatchId, Fragment: true})
	const perEvent = 8 // tag and length
	for i := 0; i < len(r.Events); {
		size, j := frame, i
		for j < len(r.Events) {
			n := proto.Size(r.Events[j]) + perEvent
			if j > i && size+n >= limit {
				break
			}
			size += n
			j++
		}
		piece := &etcdserverpb.WatchResponse{
			Header: r.Header, WatchId: r.WatchId, Events: r.Events[i:j], Fragment: j < len(r.Events)}
		if err := send(piece); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// specOf reads a create request the way etcd does: an empty key is "\0".
func specOf(r *etcdserverpb.WatchCreateRequest) merge.Spec {
	spec := merge.Spec{
		ID: r.WatchId, Key: bytes.Clone(r.Key), End: bytes.Clone(r.RangeEnd), Start: pontoon.Revision(r.StartRevision),
		PrevKV: r.PrevKv, Fragment: r.Fragment, Progress: r.ProgressNotify,
	}
	if len(spec.Key) == 0 {
		spec.Key = []byte{0}
	}
	for _, f := range r.Filters {
		switch f {
		case etcdserverpb.WatchCreateRequest_NOPUT:
			spec.NoPut = true
		case etcdserverpb.WatchCreateRequest_NODELETE:
			spec.NoDelete = true
		}
	}
	return spec
}
