package leasesvc

import (
	"context"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// registerTimeout bounds one message to a home.
const registerTimeout = 5 * time.Second

// Home asks the home ranges of leases on behalf of ranges that hold keys.
type Home struct {
	sender Sender

	mu     sync.Mutex
	leases map[proto.LeaseID]*registrations
}

// registrations are those of one lease: one message is on its way, what comes
// meanwhile shares the next (P38).
type registrations struct {
	next *registerBatch
}

type registerBatch struct {
	spans []*pontoonpb.Span
	done  chan struct{}
	reply *pontoonpb.LeaseReply
	err   error
}

// NewHome returns a Home.
func NewHome(sender Sender) *Home {
	return &Home{sender: sender, leases: map[proto.LeaseID]*registrations{}}
}

// Register tells the home of a lease that the span may hold its keys, and
// returns the lease's incarnation, which makes the reply void for a lease that
// was revoked meanwhile (P37). found is false if there is no such lease. It
// blocks until the registration is in the home's log.
func (h *Home) Register(ctx context.Context, lease proto.LeaseID, span proto.Span) (incarnation uint64, found bool, err error) {
	b := h.join(ctx, lease, span)
	select {
	case <-b.done:
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	switch {
	case isLeaseNotFound(b.err):
		return 0, false, nil
	case b.err != nil:
		return 0, false, b.err
	case b.reply.GetRecord() == nil:
		return 0, false, nil
	}
	return b.reply.Record.Incarnation, true, nil
}

// join adds the span to the next message of the lease, and sends it if none is
// on its way. What is on its way does not depend on one caller's patience, so
// it is sent without its deadline.
func (h *Home) join(ctx context.Context, lease proto.LeaseID, span proto.Span) *registerBatch {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.leases[lease]
	idle := r == nil
	if idle {
		r = &registrations{}
		h.leases[lease] = r
	}
	if r.next == nil {
		r.next = &registerBatch{done: make(chan struct{})}
	}
	b := r.next
	b.spans = append(b.spans, span.Wire())
	if idle {
		go h.send(context.WithoutCancel(ctx), lease, r)
	}
	return b
}

// send sends the batches of a lease until none waits.
func (h *Home) send(ctx context.Context, lease proto.LeaseID, r *registrations) {
	for {
		h.mu.Lock()
		b := r.next
		r.next = nil
		if b == nil {
			delete(h.leases, lease)
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		timed, cancel := context.WithTimeout(ctx, registerTimeout)
		b.reply, b.err = sendLease(timed, h.sender, homeSpan(int64(lease)), &pontoonpb.LeaseOp{
			Kind: pontoonpb.LeaseOpKind_LEASE_REGISTER, Id: int64(lease), Register: b.spans,
		})
		cancel()
		close(b.done)
	}
}
