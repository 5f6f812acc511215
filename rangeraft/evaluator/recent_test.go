package evaluator

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func keyValueAt(rev int64, value string) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{ModRevision: rev, Value: []byte(value)}
}

// P16: what is remembered is the newest version or nothing, however it is
// forgotten, and the budget is what is held.
func TestRecentIsNewestOrNothing(t *testing.T) {
	budget := NewBudget(3 * generationBytes / 2)
	m := recent{budget: budget}
	other := recent{budget: budget}
	newest := map[string]int64{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for rev := int64(1); rev <= 5000; rev++ {
		key := fmt.Sprintf("k%03d", rnd.IntN(800))
		kv := keyValueAt(rev, "a value that is neither short nor long")
		switch {
		case rev%97 == 0:
			kv.Value = make([]byte, generationBytes/2) // too large
		case rev%13 == 0:
			kv = nil // deleted
		}
		if m.remember([]byte(key), kv); rev%5 == 0 {
			other.remember([]byte(key), kv)
		}
		newest[key] = kv.GetModRevision()
		for k, want := range newest {
			if got, ok := m.get([]byte(k)); ok && got.GetModRevision() != want {
				t.Fatalf("at %d: %s at %d, newest is %d", rev, k, got.GetModRevision(), want)
			}
		}
		if kv != nil && len(kv.Value) < 100 && rev%500 == 0 {
			if _, ok := m.get([]byte(key)); !ok && budget.used.Load() > 0 {
				t.Fatalf("at %d: what was just written is not remembered", rev)
			}
		}
		if used, held := budget.used.Load(), m.young.bytes+m.old.bytes+other.young.bytes+other.old.bytes; used != held || used > budget.limit {
			t.Fatalf("at %d: %d bytes are accounted, %d held, at most %d", rev, used, held, budget.limit)
		}
	}
	m.forget()
	other.forget()
	if used := budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are not given back", used)
	}
}

// counting tells what the evaluator reads of the applied state.
type counting struct {
	State
	gets int
}

func (c *counting) Get(key []byte) (*mvccpb.KeyValue, error) {
	c.gets++
	return c.State.Get(key)
}

// P16: a key that this leadership wrote is written again without a read, until
// something changes more than it names.
func TestWrittenAgainWithoutARead(t *testing.T) {
	r := userRig(t)
	state := &counting{State: r.m}
	r.ev.opts.State = state
	write := func(value string, reads int) {
		t.Helper()
		before := state.gets
		r.submit(put("a", value))
		r.settle()
		if got := state.gets - before; got != reads {
			t.Errorf("put of %q made %d reads, want %d", value, got, reads)
		}
	}
	write("1", 1)
	write("2", 0)
	for i := range 8 { // more than a span deletion takes one by one
		r.submit(put(fmt.Sprintf("b%d", i), "x"))
	}
	r.settle()
	r.submit(del("a", "c"))
	r.grant()
	if last := r.log[len(r.log)-1].Effects[0].Kind; last != pontoonpb.EffectKind_EFFECT_DELETE_SPAN {
		t.Fatalf("the deletion was a %v", last)
	}
	r.settle()
	write("3", 1)
	write("4", 0)
	r.ev.Forget()
	write("5", 1)
}
