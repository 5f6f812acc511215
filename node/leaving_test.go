package node_test

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/config"
)

// A node whose quorum stopped cleanly refuses linearizable reads at once, as etcd
// does, and not only when its leader lease lapses; serializable ones go on.
func TestQuorumThatLeftIsMissedAtOnce(t *testing.T) {
	c := newCluster(t, 3, func(_ int, cfg *config.Config) {
		// A lease that outlasts the test by far.
		cfg.HeartbeatInterval, cfg.ElectionTimeout = 100*time.Millisecond, 5*time.Second
	})
	last := c.nodes[2]
	c.nodes[0].put("a", "0")
	c.nodes[0].stop()
	// Two of three serve, whoever leads.
	last.put("a", "1")
	c.nodes[1].stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if resp, err := last.kv().Range(ctx, &pb.RangeRequest{Key: []byte("a")}); err == nil {
		t.Fatalf("one of three serves a linearizable read: %v", resp)
	}
	resp, err := last.kv().Range(within(t, 5*time.Second), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "1" {
		t.Fatalf("a serializable read: %v, %v", resp, err)
	}
	c.nodes[1].start()
	c.nodes[1].waitReady()
	last.put("a", "2")
}

// The last of three serves what it has, when it never heard of a write as well.
func TestFreshNodeAnswersSerializableWithoutQuorum(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.nodes[0].stop()
	c.nodes[1].stop()
	resp, err := c.nodes[2].kv().Range(within(t, 5*time.Second), &pb.RangeRequest{Key: []byte("a"), Serializable: true})
	if err != nil || len(resp.Kvs) != 0 || resp.Header.Revision != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
}
