package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
)

// A cluster whose nodes find each other through another one: it has as many as its token
// says, whoever comes later is refused, and a restart asks nobody.
func TestDiscovery(t *testing.T) {
	service := newCluster(t, 1, nil)
	ask := func(_ int, cfg *config.Config) {
		cfg.InitialCluster = ""
		cfg.Discovery.Token, cfg.Discovery.Endpoints = "token", []string{service.nodes[0].addr}
	}
	c := layOut(t, 3, ask)
	alone := c.nodes[0].cfg
	if _, err := node.Start(within(t, 10*time.Second), alone); err == nil || !strings.Contains(err.Error(), "discovery: size key not found") {
		t.Fatal(err)
	}
	service.nodes[0].put("/_etcd/registry/token/_config/size", "2")
	hurried, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("hurried"))
	defer cancel()
	if _, err := node.Start(hurried, alone); err == nil || !strings.Contains(err.Error(), "failed to join discovery cluster (hurried)") {
		t.Fatal(err) // registered, and the other is not there
	}
	first := make(chan *node.Node, 1)
	go func() {
		n, err := node.Start(t.Context(), alone) // waits for the other
		if err != nil {
			t.Error(err)
		}
		first <- n
	}()
	c.nodes[1].start()
	if c.nodes[0].node = <-first; c.nodes[0].node == nil {
		t.FailNow()
	}
	if _, err := node.Start(within(t, 10*time.Second), c.nodes[2].cfg); err == nil || !strings.Contains(err.Error(), "discovery: cluster is full") {
		t.Fatal(err) // I2
	}
	for _, nd := range c.nodes[:2] {
		nd.waitReady()
	}
	rev := c.nodes[0].put("k", "v")
	c.nodes[1].mustHave("k", "v", rev)
	resp, err := pb.NewClusterClient(c.nodes[1].conn).MemberList(within(t, 10*time.Second), &pb.MemberListRequest{})
	if err != nil || len(resp.Members) != 2 {
		t.Fatal(resp, err)
	}

	service.nodes[0].stop() // I1
	c.nodes[0].stop()
	c.nodes[0].start()
	c.nodes[0].waitReady()
	c.nodes[0].mustHave("k", "v", rev)
}
