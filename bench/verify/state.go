package verify

import (
	"slices"
	"strings"
)

// state is the content of the store at one moment: live keys in key order.
// States are values: every change returns a new one.
type state []KV

func newState(kvs []KV) state {
	s := state(slices.Clone(kvs))
	slices.SortFunc(s, func(a, b KV) int { return strings.Compare(a.Key, b.Key) })
	return s
}

func (s state) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s, key, func(kv KV, k string) int { return strings.Compare(kv.Key, k) })
}

func (s state) get(key string) (KV, bool) {
	if i, ok := s.find(key); ok {
		return s[i], true
	}
	return KV{}, false
}

// span returns the keys of [key, end). The result shares memory with s.
func (s state) span(key, end string) state {
	i, ok := s.find(key)
	switch end {
	case "":
		if !ok {
			return nil
		}
		return s[i : i+1]
	case "\x00":
		return s[i:]
	}
	j, _ := s.find(end)
	return s[i:max(i, j)]
}

func (s state) with(kv KV) state {
	i, ok := s.find(kv.Key)
	if ok {
		next := slices.Clone(s)
		next[i] = kv
		return next
	}
	return slices.Insert(slices.Clone(s), i, kv)
}

func (s state) without(key string) state {
	i, ok := s.find(key)
	if !ok {
		return s
	}
	return slices.Delete(slices.Clone(s), i, i+1)
}

// attached returns the keys of a lease.
func (s state) attached(lease int64) (keys []string) {
	for _, kv := range s {
		if kv.Lease == lease {
			keys = append(keys, kv.Key)
		}
	}
	return keys
}

// put returns what key becomes when it is written at rev.
func (s state) put(op Op, rev Revision) KV {
	kv := KV{Key: op.Key, Value: op.Value, Create: rev, Mod: rev, Version: 1, Lease: op.Lease}
	if old, ok := s.get(op.Key); ok {
		kv.Create, kv.Version = old.Create, old.Version+1
	}
	return kv
}

// holds evaluates conditions. Numbers that are not known leave both open.
func (s state) holds(ifs []Compare) (canHold, canFail bool) {
	canHold = true
	for _, c := range ifs {
		t, f := s.compare(c)
		canHold = canHold && t
		canFail = canFail || f
	}
	return canHold, canFail
}

func (s state) compare(c Compare) (canHold, canFail bool) {
	kv, ok := s.get(c.Key)
	var order int
	switch c.Target {
	case TargetValue:
		if !ok {
			return false, true // etcd: a value compare on a missing key never holds
		}
		order = strings.Compare(kv.Value, c.Value)
	case TargetVersion:
		order = sign(kv.Version - c.Number)
	case TargetMod, TargetCreate:
		n := kv.Mod
		if c.Target == TargetCreate {
			n = kv.Create
		}
		if n < 0 { // only known to be above -n
			if c.Number <= int64(-n) {
				order = 1
				break
			}
			return true, true
		}
		order = sign(int64(n) - c.Number)
	}
	held := false
	switch c.Result {
	case "=":
		held = order == 0
	case "!":
		held = order != 0
	case "<":
		held = order < 0
	case ">":
		held = order > 0
	}
	return held, !held
}

func sign(n int64) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// pastReader returns the state at a past revision; false if it cannot tell.
type pastReader func(Revision) (state, bool)

// run executes operations in order, each seeing the earlier ones, writing at
// rev. A result that cannot be computed (a past read without reader) is nil.
func (s state) run(ops []Op, rev Revision, past pastReader) (results []*Result, next state, events []Event) {
	next = s
	for _, op := range ops {
		r := &Result{}
		switch op.Kind {
		case OpGet:
			from := next
			if op.At > 0 {
				ok := false
				if past != nil {
					from, ok = past(op.At)
				}
				if !ok {
					r = nil
					break
				}
			}
			r.read(from.span(op.Key, op.End), op.Limit)
		case OpPut:
			kv := next.put(op, rev)
			next = next.with(kv)
			events = append(events, Event{KV: kv})
		case OpDelete:
			doomed := next.span(op.Key, op.End)
			r.Deleted = int64(len(doomed))
			for _, kv := range doomed {
				next = next.without(kv.Key)
				events = append(events, Event{Delete: true, KV: KV{Key: kv.Key, Mod: rev}})
			}
		}
		results = append(results, r)
	}
	return results, next, events
}

func (r *Result) read(found state, limit int64) {
	r.Count = int64(len(found))
	if limit > 0 && int64(len(found)) > limit {
		found = found[:limit]
	}
	r.KVs = found
}

// sameKV compares a version of the model with one that a client saw in an
// answer at header.
func sameKV(want, got KV, header Revision) bool {
	if want.Mod < 0 && got.Mod > -want.Mod && got.Mod <= header {
		if want.Create == want.Mod {
			want.Create = got.Mod
		}
		want.Mod = got.Mod
	}
	if want.Create < 0 && got.Create > -want.Create && got.Create <= got.Mod {
		want.Create = got.Create
	}
	return want == got
}

func sameResult(want *Result, got Result, header Revision) bool {
	if want == nil {
		return true
	}
	return want.Count == got.Count && want.Deleted == got.Deleted &&
		slices.EqualFunc(want.KVs, got.KVs, func(a, b KV) bool { return sameKV(a, b, header) })
}
