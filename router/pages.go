package router

import (
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

const maxPages = 4096

// page names the rest of a paginated list: what follows next at a revision.
type page struct {
	next, end string
	rev       int64
}

// pages remembers how many keys follow a page of a list, so that the next page
// is not counted again (P42). What it says never changes, since it is about
// one revision; the oldest entries go first.
type pages struct {
	mu    sync.Mutex
	rest  map[page]int64
	order []page // ring of the keys of rest
	head  int
}

func newPages(limit int) *pages {
	return &pages{rest: make(map[page]int64, limit), order: make([]page, 0, limit)}
}

// count returns how many keys the request spans, if a page before it told.
func (p *pages) count(r *pb.RangeRequest, rev int64) (int64, bool) {
	if r.Limit <= 0 || etcdop.FetchLimit(r) == 0 {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.rest[page{string(r.Key), string(r.RangeEnd), rev}]
	return n, ok
}

// remember notes what follows the page that resp answers.
func (p *pages) remember(r *pb.RangeRequest, rev int64, resp *pb.RangeResponse) {
	if !resp.More || etcdop.FetchLimit(r) == 0 || len(resp.Kvs) == 0 || r.SortTarget != pb.RangeRequest_KEY {
		return // the last key of a page sorted by something else says nothing of what follows
	}
	next := page{string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00", string(r.RangeEnd), rev}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.rest[next]; !known {
		if len(p.order) < cap(p.order) {
			p.order = append(p.order, next)
		} else {
			delete(p.rest, p.order[p.head])
			p.order[p.head] = next
			p.head = (p.head + 1) % len(p.order)
		}
	}
	p.rest[next] = resp.Count - int64(len(resp.Kvs))
}
