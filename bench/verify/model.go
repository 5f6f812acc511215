package verify

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// modelState is the store of the model: rev is the highest revision that an
// operation so far has named.
type modelState struct {
	rev Revision
	kvs state
}

// model is etcd as porcupine understands it. Revisions are part of it: a
// mutation needs a number above everything seen, an answer names one not below.
// Numbers may be skipped, since a crash may lose some, but not over a mutation
// that the history knows: that makes the search almost free of choice.
type model struct {
	base   modelState
	writes []Revision // of all mutations with a known revision, ascending
}

// CheckLinearizable searches an order of all operations that respects real
// time and makes every answer the one etcd would have given (I3). An operation
// whose fate is unknown may take effect at any time after its call or never.
// It reports a violation too when the search exceeds limit without an answer.
func CheckLinearizable(base Base, history []Operation, limit time.Duration) []Violation {
	f := findings{check: "linearizable"}
	m := model{base: modelState{rev: base.Rev, kvs: newState(base.KVs)}}
	ops := make([]porcupine.Operation, 0, len(history))
	for i := range history {
		o := &history[i]
		if o.mutates() {
			m.writes = append(m.writes, o.Response.Rev)
		}
		ret := int64(o.Return)
		if o.Outcome == Unknown {
			ret = math.MaxInt64
		}
		ops = append(ops, porcupine.Operation{ClientId: o.Client, Input: o, Output: o, Call: int64(o.Call), Return: ret})
	}
	slices.Sort(m.writes)
	nd := m.porcupine()
	result, info := porcupine.CheckOperationsVerbose(nd.ToModel(), ops, limit)
	switch result {
	case porcupine.Illegal:
		f.addf("no order explains the history; %s", stuckAt(ops, info))
	case porcupine.Unknown:
		f.addf("undecided after %v over %d operations", limit, len(ops))
	}
	return f.done()
}

// stuckAt describes the first operation after the longest order found.
func stuckAt(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	longest := map[int]bool{}
	length := 0
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > length {
				length = len(order)
				clear(longest)
				for _, id := range order {
					longest[id] = true
				}
			}
		}
	}
	first := -1
	for i, op := range ops {
		if longest[i] || op.Return == math.MaxInt64 {
			continue
		}
		if first < 0 || op.Return < ops[first].Return {
			first = i
		}
	}
	if first < 0 {
		return fmt.Sprintf("%d of %d ordered", length, len(ops))
	}
	o := ops[first].Input.(*Operation)
	return fmt.Sprintf("%d of %d ordered, stuck at client %d %+v -> %+v", length, len(ops), o.Client, o.Request, o.Response)
}

func (m *model) porcupine() *porcupine.NondeterministicModel {
	return &porcupine.NondeterministicModel{
		Init: func() []any { return []any{m.base} },
		Step: func(s, in, _ any) []any { return m.step(s.(modelState), in.(*Operation)) },
		Equal: func(a, b any) bool {
			x, y := a.(modelState), b.(modelState)
			return x.rev == y.rev && slices.Equal(x.kvs, y.kvs)
		},
		Hash: func(s any) uint64 {
			st := s.(modelState)
			h := fnv.New64a()
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], uint64(st.rev))
			h.Write(b[:])
			for _, kv := range st.kvs {
				binary.LittleEndian.PutUint64(b[:], uint64(kv.Mod))
				h.Write(b[:])
			}
			return h.Sum64()
		},
	}
}

func (m *model) step(s modelState, o *Operation) []any {
	canHold, canFail := s.kvs.holds(o.Request.If)
	if o.Outcome == Unknown {
		next := []any{s} // it never happened, or changed nothing
		if canHold {
			next = m.stepUnknown(next, s, o.Request.Then)
		}
		if canFail {
			next = m.stepUnknown(next, s, o.Request.Else)
		}
		return next
	}
	if o.Response.Succeeded && !canHold || !o.Response.Succeeded && !canFail {
		return nil
	}
	rev := o.Response.Rev
	results, kvs, events := s.kvs.run(o.branch(), rev, nil)
	if !m.reaches(s.rev, rev, len(events) > 0) {
		return nil
	}
	if o.Outcome == Done {
		if len(results) != len(o.Response.Results) {
			return nil
		}
		for i, want := range results {
			if !sameResult(want, o.Response.Results[i], rev) {
				return nil
			}
		}
		kvs = learn(kvs, o)
	}
	return []any{modelState{rev: rev, kvs: kvs}}
}

func (m *model) stepUnknown(next []any, s modelState, ops []Op) []any {
	_, kvs, events := s.kvs.run(ops, -s.rev, nil)
	if len(events) == 0 {
		return next
	}
	return append(next, modelState{rev: s.rev, kvs: kvs})
}

// reaches says whether an operation at rev may come right after from: no known
// mutation lies between, and a mutation takes a number of its own.
func (m *model) reaches(from, rev Revision, mutates bool) bool {
	if rev < from || mutates && rev == from {
		return false
	}
	i, found := slices.BinarySearch(m.writes, from)
	if found {
		i++
	}
	if i == len(m.writes) || m.writes[i] > rev {
		return true
	}
	return mutates && m.writes[i] == rev
}

// learn replaces numbers that were not known by those that an answer showed.
func learn(kvs state, o *Operation) state {
	for i, op := range o.branch() {
		if op.Kind != OpGet || op.At > 0 {
			continue
		}
		for _, seen := range o.Response.Results[i].KVs {
			if kv, ok := kvs.get(seen.Key); ok && (kv.Mod < 0 || kv.Create < 0) && sameKV(kv, seen, o.Response.Rev) {
				kvs = kvs.with(seen)
			}
		}
	}
	return kvs
}
