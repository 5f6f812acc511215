package verify

import (
	"cmp"
	"slices"
)

// mutates says whether an operation with a known revision changed the store.
// A delete that found nothing and a branch of gets change nothing.
func (o *Operation) mutates() bool {
	if o.Outcome == Unknown {
		return false
	}
	for i, op := range o.branch() {
		switch op.Kind {
		case OpPut:
			return true
		case OpDelete:
			if o.Outcome == Settled || i < len(o.Response.Results) && o.Response.Results[i].Deleted > 0 {
				return true
			}
		}
	}
	return false
}

// CheckRevisions proves I1 and I2: revisions are unique and grow in real time
// (rules S1 and S2 of the sequencer).
func CheckRevisions(history []Operation) []Violation {
	f := findings{check: "revisions"}
	var known []*Operation
	owner := map[Revision]*Operation{}
	for i := range history {
		o := &history[i]
		if o.Outcome == Unknown {
			continue
		}
		known = append(known, o)
		if o.Response.Rev <= 0 {
			f.addf("client %d got revision %d", o.Client, o.Response.Rev)
		}
		if !o.mutates() {
			continue
		}
		if other := owner[o.Response.Rev]; other != nil {
			f.addf("revision %d was given to client %d (%v) and to client %d (%v)",
				o.Response.Rev, other.Client, other.Request, o.Client, o.Request)
		}
		owner[o.Response.Rev] = o
	}
	byCall := slices.Clone(known)
	slices.SortFunc(byCall, func(a, b *Operation) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortFunc(known, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	var newest *Operation // highest revision among operations that returned before
	next := 0
	for _, o := range byCall {
		for ; next < len(known) && known[next].Return < o.Call; next++ {
			if newest == nil || known[next].Response.Rev > newest.Response.Rev {
				newest = known[next]
			}
		}
		if newest == nil {
			continue
		}
		if o.Response.Rev < newest.Response.Rev || o.mutates() && o.Response.Rev == newest.Response.Rev {
			f.addf("client %d %v began at %v and got revision %d, after client %d %v had got %d at %v",
				o.Client, o.Request, o.Call, o.Response.Rev,
				newest.Client, newest.Request, newest.Response.Rev, newest.Return)
		}
	}
	return f.done()
}
