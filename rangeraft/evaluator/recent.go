package evaluator

import (
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Budget bounds what the leaderships of a store remember together. It is safe
// for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

func (b *Budget) take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *Budget) give(n int64) { b.used.Add(-n) }

// generationBytes is what one generation of a leadership holds: some five hundred
// keys, as many as are written again and again in a range.
const generationBytes = 256 << 10

// versionOverhead is a rough size of a remembered version without its bytes.
const versionOverhead = 200

// recent remembers the newest applied versions that this leadership wrote: what
// is written once is often written again, as status and leases are, and needs
// its last version, which costs the engine as much as the write itself. All
// writes of the range pass by here, so what is remembered is the newest.
//
//	remember --> young --full--> old --full--> forgotten
type recent struct {
	budget     *Budget // nil: nothing is remembered
	young, old generation
}

type generation struct {
	versions map[string]*mvccpb.KeyValue // by internal key; nil: deleted
	bytes    int64
}

func sizeOfVersion(key string, kv *mvccpb.KeyValue) int64 {
	return int64(2*len(key)+len(kv.GetValue())) + versionOverhead
}

// get returns the newest version of an internal key, nil if it was deleted.
func (m *recent) get(key []byte) (kv *mvccpb.KeyValue, ok bool) {
	if kv, ok = m.young.versions[string(key)]; !ok {
		kv, ok = m.old.versions[string(key)]
	}
	return kv, ok
}

// remember takes the version that became the newest one.
func (m *recent) remember(internal []byte, kv *mvccpb.KeyValue) {
	if m.budget == nil {
		return
	}
	key := string(internal)
	m.drop(&m.young, key)
	size := sizeOfVersion(key, kv)
	if size > generationBytes/4 {
		m.drop(&m.old, key)
		return
	}
	if m.young.bytes+size > generationBytes {
		m.budget.give(m.old.bytes)
		m.old, m.young = m.young, generation{}
	}
	if !m.budget.take(size) {
		m.forget()
		return
	}
	if m.young.versions == nil {
		m.young.versions = map[string]*mvccpb.KeyValue{}
	}
	m.young.versions[key] = kv
	m.young.bytes += size
}

func (m *recent) drop(g *generation, key string) {
	if kv, ok := g.versions[key]; ok {
		size := sizeOfVersion(key, kv)
		delete(g.versions, key)
		g.bytes -= size
		m.budget.give(size)
	}
}

// forget drops everything.
func (m *recent) forget() {
	if m.budget != nil {
		m.budget.give(m.young.bytes + m.old.bytes)
	}
	m.young, m.old = generation{}, generation{}
}

// Forget gives back the memory of versions that are remembered.
func (e *Evaluator) Forget() { e.recent.forget() }
