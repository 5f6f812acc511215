package verify

import (
	"slices"
	"time"
)

// Lease is what one client knows of a lease that it granted.
type Lease struct {
	ID  int64         `json:"id"`
	TTL time.Duration `json:"ttl"` // as the server granted it
	// Renewals are the grant and every keepalive that was answered with a
	// positive TTL, in order.
	Renewals []Span `json:"renewals"`
	// Revoke is the first try to revoke; Return is zero if none was answered.
	Revoke *Span `json:"revoke,omitempty"`
}

// Span is the time between a call and its return.
type Span struct {
	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
}

// CheckLeases proves I8: a key of a lease goes by expiry only when the full TTL
// passed since the last renewal that was answered (P39), all keys of a lease go
// in one revision (P37), and nothing of a revoked lease is read afterwards.
func CheckLeases(log *Log, history []Operation, leases []Lease) []Violation {
	f := findings{check: "leases"}
	byID := map[int64]*Lease{}
	for i := range leases {
		byID[leases[i].ID] = &leases[i]
	}
	written := map[Revision]bool{}
	for i := range history {
		if history[i].Client >= 0 && history[i].mutates() {
			written[history[i].Response.Rev] = true
		}
	}
	for _, e := range log.entries {
		if written[e.rev] {
			continue
		}
		before, _ := log.at(e.rev - 1)
		id, ok := leaseOf(before, e.events)
		if !ok || byID[id] == nil {
			continue // Resolve reports what nobody wrote
		}
		checkExpiry(&f, &e, before, byID[id])
	}
	for i := range history {
		checkRevoked(&f, &history[i], byID)
	}
	return f.done()
}

// leaseOf returns the lease whose keys, and nothing else, the events delete.
func leaseOf(before state, events []Event) (int64, bool) {
	var id int64
	for _, ev := range events {
		kv, ok := before.get(ev.KV.Key)
		if !ev.Delete || !ok || kv.Lease == 0 || id != 0 && kv.Lease != id {
			return 0, false
		}
		id = kv.Lease
	}
	return id, id != 0
}

func checkExpiry(f *findings, e *logEntry, before state, l *Lease) {
	attached := before.attached(l.ID)
	if len(attached) != len(e.events) {
		f.addf("revision %d ends lease %x but deletes %v of its keys %v", e.rev, l.ID, e.events, attached)
	}
	if l.early(e.seen) {
		f.addf("lease %x (ttl %v) was renewed (%v), yet its keys were gone at %v, revision %d",
			l.ID, l.TTL, l.Renewals, e.seen, e.rev)
	}
}

// early says whether the lease cannot have ended by then.
func (l *Lease) early(at time.Duration) bool {
	if l.Revoke != nil && l.Revoke.Call < at {
		return false
	}
	return slices.ContainsFunc(l.Renewals, func(r Span) bool { return r.Return < at && r.Call+l.TTL > at })
}

func checkRevoked(f *findings, o *Operation, byID map[int64]*Lease) {
	for _, r := range o.Response.Results {
		for _, kv := range r.KVs {
			l := byID[kv.Lease]
			if l != nil && l.Revoke != nil && l.Revoke.Return > 0 && l.Revoke.Return < o.Call && o.Request.readsNow(kv.Key) {
				f.addf("client %d read %q of lease %x at %v, revoked at %v", o.Client, kv.Key, l.ID, o.Call, l.Revoke.Return)
			}
		}
	}
}

// readsNow says whether no past read of the request could have returned key.
func (r Request) readsNow(key string) bool {
	for _, op := range slices.Concat(r.Then, r.Else) {
		if op.Kind == OpGet && op.At > 0 && Covers(op.Key, op.End, key) {
			return false
		}
	}
	return true
}
