package lessor

import (
	"container/heap"
	"errors"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Reasons why a revocation does not begin.
var (
	ErrNotFound = errors.New("lessor: lease not found")
	ErrChanged  = errors.New("lessor: lease changed since its expiry was decided")
)

// Config is what a kernel is tuned by.
type Config struct {
	// Extend is added to every lease when a leader begins: an election
	// timeout, during which no keepalive could be served.
	Extend time.Duration
	// RevokeRate is how many leases may come due in a second.
	RevokeRate int
	// RetryInterval is when an unfinished expiry comes due again.
	RetryInterval time.Duration
	// CheckpointInterval is how often the remaining TTL of a lease is written
	// down. 0: never.
	CheckpointInterval time.Duration
}

// Expiry names a lease that is past its time, and what must not have changed
// for it to be revoked (P39).
type Expiry struct {
	ID       proto.LeaseID
	Term     proto.Term
	Renewals uint64
}

// Status is what a kernel knows of a lease.
type Status struct {
	ID        proto.LeaseID
	Record    *pontoonpb.LeaseRecord // as applied last; not to be changed
	Remaining time.Duration
	Renewals  uint64
}

// Seconds returns the remaining whole seconds, never negative.
func (s Status) Seconds() int64 { return max(int64(s.Remaining/time.Second), 0) }

// Outcome says what became of a renewal.
type Outcome int

// Outcomes of Renew.
const (
	Renewed Outcome = iota
	Unknown         // no such lease
	Wait            // past its time or being revoked: ask again after the outcome
)

// Kernel is the lessor of one range. The zero value leads nothing.
type Kernel struct {
	cfg    Config
	term   proto.Term
	span   proto.Span
	leases map[proto.LeaseID]*lease
	due    due
}

// New returns the kernel of a leader of term over span, which has applied the
// given records: all leases start again with what the records say (I1).
func New(cfg Config, now time.Time, term proto.Term, span proto.Span, records []*pontoonpb.LeaseRecord) *Kernel {
	k := &Kernel{cfg: cfg, term: term, span: span, leases: make(map[proto.LeaseID]*lease, len(records))}
	for _, r := range records {
		k.insert(r).refresh(now, cfg.Extend)
	}
	k.spread(now)
	for _, l := range k.leases {
		heap.Push(&k.due, l)
	}
	return k
}

// Term returns the term in which the kernel leads.
func (k *Kernel) Term() proto.Term { return k.term }

// Span returns what the kernel is responsible for.
func (k *Kernel) Span() proto.Span { return k.span }

// Len returns the number of leases.
func (k *Kernel) Len() int { return len(k.leases) }

func (k *Kernel) insert(r *pontoonpb.LeaseRecord) *lease {
	l := &lease{
		record: r, id: r.Id, ttl: time.Duration(r.TtlSeconds) * time.Second,
		remaining:   time.Duration(r.RemainingSeconds) * time.Second,
		incarnation: r.Incarnation, at: -1,
	}
	k.leases[proto.LeaseID(r.Id)] = l
	return l
}

// refresh starts the lease's time again.
func (l *lease) refresh(now time.Time, extend time.Duration) {
	left := l.ttl
	if l.remaining > 0 {
		left = l.remaining
	}
	l.expiry = now.Add(left + extend)
	l.check = l.expiry
	l.checkpoint = now
}

// Put takes in an applied record: a grant, a registration or a checkpoint. A
// record of another incarnation is a new lease.
func (k *Kernel) Put(now time.Time, r *pontoonpb.LeaseRecord) {
	id := proto.LeaseID(r.Id)
	if !k.span.Contains(keys.Lease(id)) {
		return
	}
	if l := k.leases[id]; l != nil && l.incarnation == r.Incarnation {
		l.record = r
		l.remaining = time.Duration(r.RemainingSeconds) * time.Second
		return
	}
	k.Delete(id)
	l := k.insert(r)
	l.refresh(now, 0)
	heap.Push(&k.due, l)
}

// Delete takes in the applied removal of a record.
func (k *Kernel) Delete(id proto.LeaseID) {
	if l := k.leases[id]; l != nil {
		delete(k.leases, id)
		if l.at >= 0 {
			heap.Remove(&k.due, l.at)
		}
	}
}

// Resize changes the span: leases outside leave with their part, records that
// are new here begin. Those that stay keep their time.
func (k *Kernel) Resize(now time.Time, span proto.Span, records []*pontoonpb.LeaseRecord) {
	k.span = span
	for id := range k.leases {
		if !span.Contains(keys.Lease(id)) {
			k.Delete(id)
		}
	}
	for _, r := range records {
		if k.leases[proto.LeaseID(r.Id)] == nil && span.Contains(keys.Lease(proto.LeaseID(r.Id))) {
			l := k.insert(r)
			l.refresh(now, k.cfg.Extend)
			heap.Push(&k.due, l)
		}
	}
}

// Renew starts a lease's time again (P39, I3). checkpointed tells that the
// record carries a shortened TTL, which is to be cleared.
func (k *Kernel) Renew(now time.Time, id proto.LeaseID) (s Status, outcome Outcome, checkpointed bool) {
	l := k.leases[id]
	if l == nil {
		return Status{}, Unknown, false
	}
	if l.revoking > 0 || !now.Before(l.expiry) {
		return Status{}, Wait, false
	}
	// By the record: whoever was to clear it at the last renewal may have gone away.
	checkpointed = l.record.RemainingSeconds > 0
	l.remaining = 0
	l.renewals++
	l.refresh(now, 0)
	heap.Fix(&k.due, l.at)
	return l.status(now), Renewed, checkpointed
}

// BeginRevoke begins the revocation of a lease. An expiry names what it was
// decided under; term 0 is a client's wish, which always begins.
func (k *Kernel) BeginRevoke(now time.Time, id proto.LeaseID, term proto.Term, renewals uint64) error {
	l := k.leases[id]
	switch {
	case l == nil:
		return ErrNotFound
	case term != 0 && (term != k.term || renewals != l.renewals || now.Before(l.expiry)):
		return ErrChanged
	}
	l.revoking++
	return nil
}

// EndRevoke ends a revocation that was begun. One that succeeded holds the
// lease back until its removal is applied.
func (k *Kernel) EndRevoke(id proto.LeaseID, revoked bool) {
	if l := k.leases[id]; l != nil && l.revoking > 0 && !revoked {
		l.revoking--
	}
}

// Status returns what is known of a lease.
func (k *Kernel) Status(now time.Time, id proto.LeaseID) (Status, bool) {
	l := k.leases[id]
	if l == nil {
		return Status{}, false
	}
	return l.status(now), true
}

// List returns all leases, those that expire first first.
func (k *Kernel) List(now time.Time) []Status {
	list := make([]Status, 0, len(k.leases))
	for _, l := range k.leases {
		list = append(list, l.status(now))
	}
	slices.SortFunc(list, func(a, b Status) int {
		if a.Remaining != b.Remaining {
			return int(min(max(a.Remaining-b.Remaining, -1), 1))
		}
		return int(min(max(a.ID-b.ID, -1), 1))
	})
	return list
}

func (l *lease) status(now time.Time) Status {
	return Status{
		ID: proto.LeaseID(l.id), Record: l.record, Remaining: l.expiry.Sub(now), Renewals: l.renewals,
	}
}
