package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/sim/simnet"
	enginekeys "github.com/pontoon-kv/pontoon/storage/keys"
)

// leaseFaults revoke leases while their first keys are put.
var leaseFaults = []kind{{"revoke race", 4, staged(revokeRace)}}

const raceRounds = 3 // of a step

// revokeRace puts a first key with a lease, and revokes it while the leader of
// the key's range does not have the answer of the lease's home yet: the link from
// there is slow. Whatever comes of the put, the key must not outlive the lease.
// The keys lie beside those of the history, whose record knows all leases.
func revokeRace(ctx context.Context, n *nemesis, s step) error {
	for i := range raceRounds {
		if err := n.revokeOnce(ctx, s, i); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) revokeOnce(ctx context.Context, s step, round int) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	key := []string{"a/race", "z/race"}[(s.pick(0, 2)+round)%2]
	list := n.scenes(ctx)
	at, ok := holder(list, enginekeys.User([]byte(key)))
	if !ok || len(at.voters) < 2 {
		n.note(s.kind + " skipped")
		return nil
	}
	client, err := n.t.Open(at.voters[0].clientAddr())
	if err != nil {
		return err
	}
	granted, err := client.Grant(ctx, 60)
	if err != nil {
		return nil
	}
	lease := granted.ID
	home, ok := holder(list, enginekeys.Lease(proto.LeaseID(lease)))
	if !ok || home.leader == at.leader {
		n.note(s.kind + " skipped")
		return nil
	}
	if home.leader == at.voters[0] { // whoever revokes is to be near both
		if client, err = n.t.Open(at.voters[1].clientAddr()); err != nil {
			return err
		}
	}
	delay := time.Duration(50+s.pick(2, 200)) * time.Millisecond
	n.note(s.kind)
	n.c.net.Set(home.leader.host, at.leader.host, simnet.Shape{Delay: delay})
	defer n.c.net.Set(home.leader.host, at.leader.host, n.c.net.Default())
	var putting sync.WaitGroup
	putting.Go(func() { _, _ = client.Put(ctx, key, "x", clientv3.WithLease(lease)) })
	sleep(ctx, delay*time.Duration(1+s.pick(3, 10))/10)
	_, err = client.Revoke(ctx, lease)
	putting.Wait()
	if err != nil {
		return nil // it may be there still
	}
	resp, err := client.Get(ctx, key)
	if err == nil && len(resp.Kvs) > 0 && resp.Kvs[0].Lease == int64(lease) {
		return fmt.Errorf("%q has lease %x at revision %d, after it was revoked", key, lease, resp.Header.Revision)
	}
	return nil
}

// holder is the range that a key lies in.
func holder(list []scene, key []byte) (scene, bool) {
	for _, sc := range list {
		if holds(sc.of, key) {
			return sc, true
		}
	}
	return scene{}, false
}
