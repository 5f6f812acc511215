package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ownKeys is how many keys a client of cas has to itself.
const ownKeys = 8

// cas is Kubernetes' update: put if nobody else did, else read.
func cas(k *keyspace, size, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("txn/cas/c%d", clients), Unit: "txn",
		About: fmt.Sprintf("Txn(mod = n) put %s, else get, without conflicts", sizeName(size)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			v := newValues(t.Seed, size)
			revisions, err := k.revisions(ctx, t.Clients.Client(0))
			if err != nil {
				return nil, err
			}
			return t.loop(ctx, load{clients: clients,
				client: func(_ context.Context, i int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					s := &swapper{c: c, v: v, rng: rng}
					for j := i; j < len(k.names) && len(s.own) < ownKeys; j += clients {
						s.own = append(s.own, k.names[j])
						s.mod = append(s.mod, revisions[j])
					}
					return s.swap, nil
				}})
		},
	}
}

// revisions reads where every key is.
func (k *keyspace) revisions(ctx context.Context, c *clientv3.Client) ([]int64, error) {
	resp, err := c.Get(ctx, k.names[0], clientv3.WithRange(k.names[len(k.names)-1]+"\x00"), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) != len(k.names) {
		return nil, wrong("%d of %d keys", len(resp.Kvs), len(k.names))
	}
	var out []int64
	for _, kv := range resp.Kvs {
		out = append(out, kv.ModRevision)
	}
	return out, nil
}

// swapper is one client of cas.
type swapper struct {
	c   *clientv3.Client
	own []string
	mod []int64 // last known revision of each, 0: a try had no answer
	v   *values
	rng *rand.Rand
}

func (s *swapper) swap(ctx context.Context) (done, error) {
	i := s.rng.IntN(len(s.own))
	key := s.own[i]
	if s.mod[i] == 0 { // read again, not timed
		resp, err := s.c.Get(ctx, key)
		if err != nil {
			return done{}, err
		}
		if len(resp.Kvs) != 1 {
			return done{}, wrong("get %q returned %d keys", key, len(resp.Kvs))
		}
		s.mod[i] = resp.Kvs[0].ModRevision
	}
	began := time.Now()
	resp, err := s.c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", s.mod[i])).
		Then(clientv3.OpPut(key, s.v.next(s.rng))).Else(clientv3.OpGet(key)).Commit()
	took := time.Since(began)
	if err != nil {
		s.mod[i] = 0 // may have happened
		return done{}, err
	}
	if !resp.Succeeded {
		return done{}, wrong("%q is not at %d, but nobody else writes it", key, s.mod[i])
	}
	s.mod[i] = resp.Header.Revision
	return done{bytes: int64(len(key) + s.v.size), took: took}, nil
}

// cross puts two keys that lie in different ranges, in one transaction.
func cross(k *keyspace, size, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("txn/cross/c%d", clients), Unit: "txn",
		About: fmt.Sprintf("two puts of %s in one Txn, in the lower and the upper half of the keys: two ranges", sizeName(size)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			v := newValues(t.Seed, size)
			half := len(k.names) / 2
			return t.loop(ctx, load{clients: clients,
				client: func(_ context.Context, _ int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					return func(ctx context.Context) (done, error) {
						a, b := k.names[rng.IntN(half)], k.names[half+rng.IntN(half)]
						resp, err := c.Txn(ctx).Then(clientv3.OpPut(a, v.next(rng)), clientv3.OpPut(b, v.next(rng))).Commit()
						if err == nil && (!resp.Succeeded || len(resp.Responses) != 2) {
							err = wrong("a txn of two puts answered %v", resp.Responses)
						}
						return done{bytes: int64(len(a) + len(b) + 2*size)}, err
					}, nil
				}})
		},
	}
}

// deletePrefix deletes prefixes of 100 keys each. What writes them is not in the
// latency, but in all that servers use.
func deletePrefix(size, clients int) Workload {
	return Workload{
		Name: fmt.Sprintf("delete/prefix-%d/c%d", fillBatch, clients), Unit: "delete",
		About: fmt.Sprintf("a prefix of %d keys of %s; one Txn writes them before, untimed but counted in what servers use", fillBatch, sizeName(size)),
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			v := newValues(t.Seed, size)
			return t.loop(ctx, load{clients: clients,
				client: func(_ context.Context, i int, c *clientv3.Client, rng *rand.Rand) (op, error) {
					own := newKeyspace(fmt.Sprintf("delete/%04d", i), fillBatch)
					return func(ctx context.Context) (done, error) { return own.writeAndDelete(ctx, c, v, rng) }, nil
				}})
		},
	}
}

func (k *keyspace) writeAndDelete(ctx context.Context, c *clientv3.Client, v *values, rng *rand.Rand) (done, error) {
	var d done
	var puts []clientv3.Op
	for _, key := range k.names {
		puts = append(puts, clientv3.OpPut(key, v.next(rng)))
		d.bytes += int64(len(key) + v.size)
	}
	if _, err := c.Txn(ctx).Then(puts...).Commit(); err != nil {
		return d, err
	}
	began := time.Now()
	resp, err := c.Delete(ctx, k.prefix, clientv3.WithPrefix())
	d.took = time.Since(began)
	if err == nil && resp.Deleted != int64(len(k.names)) {
		err = wrong("%d of %d keys deleted", resp.Deleted, len(k.names))
	}
	return d, err
}
