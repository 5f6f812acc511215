package sim

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	restTTL = 2 * time.Second
	// expiryBound is how late a lease may end where nothing is wrong: it gets its
	// TTL and an election timeout once more if placement moves its lessor meanwhile,
	// the lessor looks twice a second, and a revoke is a txn.
	expiryBound = restTTL + 2*time.Second
)

// restKeys are keys of the first range, of the last and of one between them.
var restKeys = []string{"a/leased", "robust/06/leased", "z/leased"}

// expiry proves of a cluster at rest that a lease which nobody renews ends, not
// before its time and not much later, with all its keys at once.
func (out *Outcome) expiry(ctx context.Context, c *clientv3.Client) error {
	began := time.Now()
	lease, err := c.Grant(ctx, int64(restTTL.Seconds()))
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	granted := time.Now()
	ttl := time.Duration(lease.TTL) * time.Second
	for _, key := range restKeys {
		if _, err := c.Put(ctx, key, "x", clientv3.WithLease(lease.ID)); err != nil {
			return fmt.Errorf("put: %w", err)
		}
	}
	for {
		asked := time.Now()
		r, err := c.Txn(ctx).Then(clientv3.OpGet("a/leased"), clientv3.OpGet("robust/06/leased"), clientv3.OpGet("z/leased")).Commit()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		left := 0
		for _, get := range r.Responses {
			left += len(get.GetResponseRange().Kvs)
		}
		switch {
		case left == 0 && time.Since(began) < ttl:
			return fmt.Errorf("lease %x of %v was gone after %v", lease.ID, ttl, time.Since(began))
		case left == 0:
			return nil
		case left < 3:
			return fmt.Errorf("lease %x: %d of 3 keys are left at revision %d", lease.ID, left, r.Header.Revision)
		case asked.Sub(granted) > ttl+expiryBound:
			return fmt.Errorf("lease %x of %v is there %v after it was granted", lease.ID, ttl, asked.Sub(granted))
		}
		sleep(ctx, 20*time.Millisecond)
	}
}
