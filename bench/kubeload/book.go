package kubeload

import (
	"fmt"
	"slices"
	"sync"
)

// object is what the writers know of one key.
type object struct {
	key string
	res *resource

	mu sync.Mutex
	// The last acknowledged write: its revision and attempt; live is false after
	// a delete and before the first create.
	mod     int64
	attempt uint64
	counter uint64
	live    bool
	// unsure are unanswered writes since; an attempt of 0 is a delete.
	unsure []uint64
	// deleting is set from the start of a delete to the next create: meanwhile a
	// read may find nothing.
	deleting bool
}

// view is a moment of an object: what a request is based on and judged against.
type view struct {
	mod      int64
	counter  uint64
	live     bool
	deleting bool
}

func (o *object) view() view {
	o.mu.Lock()
	defer o.mu.Unlock()
	return view{mod: o.mod, counter: o.counter, live: o.live, deleting: o.deleting}
}

// book is everything that was written, by key.
type book struct {
	mu    sync.RWMutex
	byKey map[string]*object
	byRes [][]*object // per resource, in the order of creation
}

func newBook() *book {
	return &book{byKey: map[string]*object{}, byRes: make([][]*object, len(resources))}
}

// add makes the next object of a resource.
func (b *book) add(prefix string, res int) *object {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &resources[res]
	o := &object{key: r.key(prefix, len(b.byRes[res])), res: r}
	b.byRes[res] = append(b.byRes[res], o)
	b.byKey[o.key] = o
	return o
}

// pick returns an object of a resource, nil if there is none; n chooses.
func (b *book) pick(res int, n func(int) int) *object {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.byRes[res]) == 0 {
		return nil
	}
	return b.byRes[res][n(len(b.byRes[res]))]
}

func (b *book) get(key string) *object {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byKey[key]
}

func (b *book) all() []*object {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Concat(b.byRes...)
}

// deleteBegins notes that the key may vanish from now on.
func (o *object) deleteBegins() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deleting = true
}

// acknowledged notes a write that compared base and got mod; v.attempt is 0 for
// a delete.
func (o *object) acknowledged(base, mod int64, v value) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if mod <= base {
		return fmt.Errorf("%q: written at %d over %d", o.key, mod, base)
	}
	if o.mod > base && o.mod < mod { // I3
		return fmt.Errorf("%q: the write at %d compared %d, but %d was acknowledged: update lost", o.key, mod, base, o.mod)
	}
	if mod == o.mod {
		return fmt.Errorf("%q: two writes acknowledged at %d", o.key, mod)
	}
	if mod < o.mod {
		return nil // another writer came after and was faster to note it
	}
	o.mod, o.attempt, o.counter, o.live = mod, v.attempt, v.counter, v.attempt != 0
	if o.live {
		o.deleting = false
	}
	return nil
}

// unanswered notes a write that may have happened or may yet happen.
func (o *object) unanswered(attempt uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsure = append(o.unsure, attempt)
	o.deleting = o.deleting || attempt == 0
}

// judge compares a linearizable read that began at the view with it (I2). mod
// is 0 if nothing was found.
func (o *object) judge(before view, mod int64) error {
	if mod == 0 {
		if now := o.view(); before.live && now.live && !before.deleting && !now.deleting && before.mod == now.mod {
			return fmt.Errorf("%q: not found, though written at %d and never deleted", o.key, before.mod)
		}
		return nil
	}
	if mod < before.mod {
		return fmt.Errorf("%q: read at version %d, but %d was acknowledged before", o.key, mod, before.mod)
	}
	return nil
}

// final says whether what exists at the end is explained (I6).
func (o *object) final(found bool, mod int64, v value) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !found && o.live && !slices.Contains(o.unsure, 0):
		return fmt.Errorf("%q: lost, was acknowledged at %d", o.key, o.mod)
	case !found:
		return nil
	case o.live && mod == o.mod && v.attempt == o.attempt && v.counter == o.counter:
		return nil
	case mod > o.mod && slices.Contains(o.unsure, v.attempt):
		return nil // unanswered, but it happened
	}
	return fmt.Errorf("%q: is attempt %d (counter %d) at %d, want attempt %d (counter %d, live %v) at %d",
		o.key, v.attempt, v.counter, mod, o.attempt, o.counter, o.live, o.mod)
}
