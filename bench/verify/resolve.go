package verify

import (
	"fmt"
	"slices"
)

// Resolve uses the log to settle what the clients could not know. An unanswered
// mutation whose value a watch saw happened there; one that left no trace in a
// complete log did not happen before the log's end and is dropped. Deletions
// that no answered operation claims must belong to an unanswered deletion or to
// the end of a lease; for the latter an operation is added to the history.
// Values must be unique over the run. What stays unexplained violates I7.
func Resolve(log *Log, history []Operation, leases []Lease) ([]Operation, []Violation) {
	f := findings{check: "unexplained"}
	r := resolver{log: log, claimed: map[Revision]bool{}, byValue: map[string]Revision{}}
	for _, e := range log.entries {
		for _, ev := range e.events {
			if !ev.Delete {
				r.byValue[ev.KV.Value] = e.rev
			}
		}
	}
	out := make([]Operation, 0, len(history))
	var open []Operation // unanswered, may have deleted something
	for _, o := range history {
		switch {
		case o.Outcome != Unknown:
			out = append(out, o)
			if o.mutates() {
				r.claimed[o.Response.Rev] = true
			}
		default:
			settled, found := r.settleByValue(o)
			if found {
				out = append(out, settled)
				r.claimed[settled.Response.Rev] = true
			} else {
				open = append(open, o)
			}
		}
	}
	return r.explainDeletes(out, open, leases, &f), f.done()
}

type resolver struct {
	log     *Log
	claimed map[Revision]bool
	byValue map[string]Revision
}

// settleByValue looks for a put of an unanswered operation in the log.
func (r *resolver) settleByValue(o Operation) (Operation, bool) {
	for _, then := range []bool{true, false} {
		o.Response.Succeeded = then
		for _, op := range o.branch() {
			rev, ok := r.byValue[op.Value]
			if op.Kind == OpPut && ok {
				return r.settle(o, rev), true
			}
		}
	}
	return o, false
}

func (r *resolver) settle(o Operation, rev Revision) Operation {
	o.Outcome = Settled
	o.Response.Rev = rev
	o.Return = max(o.Call, r.log.entry(rev).seen)
	return o
}

func (r *resolver) explainDeletes(out, open []Operation, leases []Lease, f *findings) []Operation {
	byID := map[int64]*Lease{}
	for i := range leases {
		byID[leases[i].ID] = &leases[i]
	}
	var left []*logEntry
	for i := range r.log.entries {
		e := &r.log.entries[i]
		if r.claimed[e.rev] {
			continue
		}
		if l := r.endedLease(e, byID); l != nil && !l.early(e.seen) {
			out = append(out, leaseEnd(e, l))
			continue
		}
		left = append(left, e)
	}
	owner := r.match(left, open)
	for i, e := range left {
		if owner[i] < 0 {
			if l := r.endedLease(e, byID); l != nil {
				out = append(out, leaseEnd(e, l)) // too early: CheckLeases says so
				continue
			}
			f.addf("revision %d changed %v and nobody wrote it%s", e.rev, e.events, twice(out, e))
			continue
		}
		o := open[owner[i]]
		o.Response.Succeeded = r.branchDoes(o, e, true)
		out = append(out, r.settle(o, e.rev))
	}
	return out
}

// twice names the operation whose values the entry carries, if it was answered
// with another revision: it was done more than once.
func twice(history []Operation, e *logEntry) string {
	for _, ev := range e.events {
		for i := range history {
			o := &history[i]
			if !ev.Delete && slices.ContainsFunc(o.branch(), func(op Op) bool { return op.Kind == OpPut && op.Value == ev.KV.Value }) {
				return fmt.Sprintf("; done twice: client %d was answered %d for it", o.Client, o.Response.Rev)
			}
		}
	}
	return ""
}

// endedLease returns the lease whose end explains a deletion.
func (r *resolver) endedLease(e *logEntry, byID map[int64]*Lease) *Lease {
	before, _ := r.log.at(e.rev - 1)
	id, ok := leaseOf(before, e.events)
	if !ok || len(before.attached(id)) != len(e.events) {
		return nil
	}
	return byID[id]
}

// leaseEnd is the operation behind an expiry or a revoke. A revoke that was
// answered bounds it in time like any other operation.
func leaseEnd(e *logEntry, l *Lease) Operation {
	o := Operation{Client: -1, Return: e.seen, Outcome: Settled, Response: Response{Rev: e.rev, Succeeded: true}}
	if len(l.Renewals) > 0 {
		o.Call = l.Renewals[0].Call
	}
	if l.Revoke != nil && l.Revoke.Return > 0 {
		o.Return = min(o.Return, l.Revoke.Return)
	}
	for _, ev := range e.events {
		o.Request.Then = append(o.Request.Then, Op{Kind: OpDelete, Key: ev.KV.Key})
	}
	return o
}

// match assigns to each deletion an unanswered operation that could have done
// it, each operation once (augmenting paths; -1: none).
func (r *resolver) match(left []*logEntry, open []Operation) []int {
	owner := make([]int, len(left))
	taken := make([]int, len(open))
	for i := range owner {
		owner[i] = -1
	}
	for i := range taken {
		taken[i] = -1
	}
	var assign func(i int, tried []bool) bool
	assign = func(i int, tried []bool) bool {
		for j := range open {
			if tried[j] || !r.couldDo(open[j], left[i]) {
				continue
			}
			tried[j] = true
			if taken[j] < 0 || assign(taken[j], tried) {
				taken[j], owner[i] = i, j
				return true
			}
		}
		return false
	}
	for i := range left {
		assign(i, make([]bool, len(open)))
	}
	return owner
}

func (r *resolver) couldDo(o Operation, e *logEntry) bool {
	if o.Call > e.seen {
		return false
	}
	return r.branchDoes(o, e, true) || r.branchDoes(o, e, false)
}

func (r *resolver) branchDoes(o Operation, e *logEntry, then bool) bool {
	before, ok := r.log.at(e.rev - 1)
	if !ok {
		return false
	}
	canHold, canFail := before.holds(o.Request.If)
	if then && !canHold || !then && !canFail {
		return false
	}
	o.Response.Succeeded = then
	_, _, events := before.run(o.branch(), e.rev, r.log.at)
	return slices.EqualFunc(events, e.events, sameChange)
}
