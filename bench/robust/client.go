package robust

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// requestTimeout is shorter than the server's own, so that a client of a node
// in trouble soon tries the next thing.
const requestTimeout = 4 * time.Second

// client is one sequential user of one gateway.
type client struct {
	id     int
	kv     *clientv3.Client
	rec    *recorder
	rng    *rand.Rand
	keys   int
	base   verify.Revision
	serial *serial

	known  map[string]verify.KV // last seen, for compares that have a chance
	newest verify.Revision
	lease  *leaseUser
}

// serial makes values unique over a run (I2).
type serial struct {
	round, client, n int
}

func (s *serial) next() string {
	s.n++
	return fmt.Sprintf("r%d-c%d-%d", s.round, s.client, s.n)
}

// loop sends requests at the given mean interval until ctx ends. A request
// under way is finished, not cut, so that a round ends with few unknowns.
func (c *client) loop(ctx context.Context, interval time.Duration) {
	next := time.Now()
	for ctx.Err() == nil {
		next = next.Add(time.Duration((0.5 + c.rng.Float64()) * float64(interval)))
		if late := time.Since(next); late > 0 {
			next = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		c.once(context.WithoutCancel(ctx))
	}
}

func (c *client) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if c.rng.IntN(10) == 0 && c.lease.step(ctx) {
		return
	}
	resp, err := c.rec.do(ctx, c.kv, c.id, c.request())
	if err != nil {
		return
	}
	c.newest = max(c.newest, resp.Rev)
	for _, r := range resp.Results {
		for _, kv := range r.KVs {
			c.known[kv.Key] = kv
		}
	}
}

func (c *client) key() string { return keyName(c.rng.IntN(c.keys)) }

func (c *client) put(key string) verify.Op {
	op := verify.Op{Kind: verify.OpPut, Key: key, Value: c.serial.next()}
	if c.rng.IntN(5) == 0 {
		op.Lease = c.lease.current()
	}
	return op
}

func get(key, end string) verify.Op { return verify.Op{Kind: verify.OpGet, Key: key, End: end} }

// request draws the next request: single keys, spans and txns, most of them
// over several ranges.
func (c *client) request() verify.Request {
	key := c.key()
	switch n := c.rng.IntN(100); {
	case n < 20:
		return one(c.put(key))
	case n < 28:
		return one(verify.Op{Kind: verify.OpDelete, Key: key})
	case n < 38:
		return one(get(key, ""))
	case n < 48:
		op := get(spanKey, spanEnd)
		op.Limit = int64(c.rng.IntN(2) * c.rng.IntN(c.keys))
		return one(op)
	case n < 53:
		op := get(spanKey, spanEnd)
		op.At = c.newest - verify.Revision(c.rng.IntN(20))
		if op.At < c.base {
			op.At = 0
		}
		return one(op)
	case n < 56:
		i := c.rng.IntN(c.keys)
		return one(verify.Op{Kind: verify.OpDelete, Key: keyName(i), End: keyName(min(c.keys, i+1+c.rng.IntN(4)))})
	case n < 72:
		return c.swap(key)
	case n < 84:
		return c.spread()
	case n < 94:
		return c.conditional()
	default:
		return verify.Request{Then: []verify.Op{get(key, ""), get(c.key(), ""), get(spanKey, spanEnd)}}
	}
}

func one(op verify.Op) verify.Request { return verify.Request{Then: []verify.Op{op}} }

// swap is Kubernetes' update: write if unchanged, else read.
func (c *client) swap(key string) verify.Request {
	return verify.Request{
		If:   []verify.Compare{{Key: key, Target: verify.TargetMod, Result: "=", Number: int64(c.known[key].Mod)}},
		Then: []verify.Op{c.put(key)},
		Else: []verify.Op{get(key, "")},
	}
}

// distinct draws n keys; etcd refuses a key written twice in one txn.
func (c *client) distinct(n int) []string {
	keys := make([]string, 0, n)
	for _, i := range c.rng.Perm(c.keys)[:min(n, c.keys)] {
		keys = append(keys, keyName(i))
	}
	return keys
}

// spread writes several keys at once, in an order that is not key order.
func (c *client) spread() verify.Request {
	var req verify.Request
	for i, key := range c.distinct(2 + c.rng.IntN(3)) {
		if i > 0 && c.rng.IntN(4) == 0 {
			req.Then = append(req.Then, verify.Op{Kind: verify.OpDelete, Key: key})
			continue
		}
		req.Then = append(req.Then, c.put(key))
	}
	if c.rng.IntN(3) == 0 {
		req.Then = append(req.Then, get(spanKey, spanEnd)) // sees the writes before it
	}
	return req
}

// conditional compares some keys and writes others.
func (c *client) conditional() verify.Request {
	keys := c.distinct(4)
	var req verify.Request
	for _, key := range keys[:min(2, len(keys))] {
		kv := c.known[key]
		switch c.rng.IntN(4) {
		case 0:
			req.If = append(req.If, verify.Compare{Key: key, Target: verify.TargetVersion, Result: ">", Number: 0})
		case 1:
			req.If = append(req.If, verify.Compare{Key: key, Target: verify.TargetCreate, Result: "=", Number: int64(kv.Create)})
		case 2:
			req.If = append(req.If, verify.Compare{Key: key, Target: verify.TargetValue, Result: "!", Value: kv.Value})
		default:
			req.If = append(req.If, verify.Compare{Key: key, Target: verify.TargetMod, Result: "<", Number: int64(c.newest) - 5})
		}
	}
	for _, key := range keys[min(2, len(keys)-1):] {
		req.Then = append(req.Then, c.put(key))
	}
	req.Else = []verify.Op{c.put(keys[0]), get(keys[len(keys)-1], "")}
	return req
}
