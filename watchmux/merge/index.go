package merge

import (
	"bytes"
	"slices"
)

// index finds the watchers of a key: points by map, spans by an interval tree.
// Keys are etcd keys.
type index struct {
	points map[string][]*Watcher
	spans  *node
}

func (x *index) add(w *Watcher) {
	if w.point {
		if x.points == nil {
			x.points = map[string][]*Watcher{}
		}
		k := string(w.key)
		x.points[k] = append(x.points[k], w)
		return
	}
	x.spans = insert(x.spans, &node{w: w, priority: mix(w.seq)})
}

func (x *index) remove(w *Watcher) {
	if !w.point {
		x.spans = remove(x.spans, w)
		return
	}
	k := string(w.key)
	ws := slices.DeleteFunc(x.points[k], func(o *Watcher) bool { return o == w })
	if len(ws) == 0 {
		delete(x.points, k)
	} else {
		x.points[k] = ws
	}
}

// match appends the watchers of key to dst.
func (x *index) match(key []byte, dst []*Watcher) []*Watcher {
	dst = append(dst, x.points[string(key)]...)
	return stab(x.spans, key, dst)
}

// node of a treap in order of (key, seq) with the greatest end below each
// node: insert, remove and lookup take a logarithmic number of steps plus the
// matches. Priorities are a hash of seq, so the shape is reproducible.
type node struct {
	w           *Watcher
	priority    uint64
	maxEnd      []byte // greatest end in this subtree; nil: open
	left, right *node
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func less(a, b *Watcher) bool {
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

// greater returns the later of two ends; nil is open, later than all.
func greater(a, b []byte) []byte {
	if a == nil || b == nil {
		return nil
	}
	if bytes.Compare(a, b) >= 0 {
		return a
	}
	return b
}

func (n *node) update() *node {
	n.maxEnd = n.w.end
	if n.left != nil {
		n.maxEnd = greater(n.maxEnd, n.left.maxEnd)
	}
	if n.right != nil {
		n.maxEnd = greater(n.maxEnd, n.right.maxEnd)
	}
	return n
}

// split divides t into watchers before w and the others.
func split(t *node, w *Watcher) (l, r *node) {
	if t == nil {
		return nil, nil
	}
	if less(t.w, w) {
		t.right, r = split(t.right, w)
		return t.update(), r
	}
	l, t.left = split(t.left, w)
	return l, t.update()
}

func join(l, r *node) *node {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.priority > r.priority:
		l.right = join(l.right, r)
		return l.update()
	default:
		r.left = join(l, r.left)
		return r.update()
	}
}

func insert(t, n *node) *node {
	if t == nil {
		return n.update()
	}
	if n.priority > t.priority {
		n.left, n.right = split(t, n.w)
		return n.update()
	}
	if less(n.w, t.w) {
		t.left = insert(t.left, n)
	} else {
		t.right = insert(t.right, n)
	}
	return t.update()
}

func remove(t *node, w *Watcher) *node {
	switch {
	case t == nil:
		return nil
	case t.w == w:
		return join(t.left, t.right)
	case less(w, t.w):
		t.left = remove(t.left, w)
	default:
		t.right = remove(t.right, w)
	}
	return t.update()
}

func stab(t *node, key []byte, dst []*Watcher) []*Watcher {
	if t == nil || t.maxEnd != nil && bytes.Compare(t.maxEnd, key) <= 0 {
		return dst
	}
	dst = stab(t.left, key, dst)
	if bytes.Compare(t.w.key, key) > 0 {
		return dst
	}
	if t.w.end == nil || bytes.Compare(key, t.w.end) < 0 {
		dst = append(dst, t.w)
	}
	return stab(t.right, key, dst)
}
