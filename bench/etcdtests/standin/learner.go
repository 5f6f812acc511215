//go:build standin

package integration

import (
	"context"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/testutil"
)

// AddAndLaunchLearnerMember adds a member that learns, and waits until the cluster knows
// that it has started.
func (c *Cluster) AddAndLaunchLearnerMember(t testutil.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	m := newMember(c, len(c.Members), freePorts(t, portsEach))
	m.IsLearner, m.state = true, "existing"
	if _, err := c.Client(0).MemberAddAsLearner(ctx, []string{m.peerURL()}); err != nil {
		t.Fatalf("add a learner: %v", err)
	}
	c.Members = append(c.Members, m)
	m.initial = c.initial()
	if err := m.launch(); err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	for {
		resp, err := c.Client(0).MemberList(ctx)
		if err == nil && started(resp.Members) == len(c.Members) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not start: %v\n%s", m.Name, err, m.log())
		case <-time.After(pollEvery):
		}
	}
}

// GetLearnerMembers are those members that learn.
func (c *Cluster) GetLearnerMembers() (learners []*pb.Member, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), RequestTimeout)
	defer cancel()
	resp, err := c.Client(0).MemberList(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range resp.Members {
		if m.IsLearner {
			learners = append(learners, m)
		}
	}
	return learners, nil
}

// ReadyNotify is closed once the member answers with what it has.
func (m *Member) ReadyNotify() <-chan struct{} {
	ready := make(chan struct{})
	go func() {
		if m.awaitServing(false) == nil {
			close(ready)
		}
	}()
	return ready
}

func started(members []*pb.Member) (n int) {
	for _, m := range members {
		if m.Name != "" {
			n++
		}
	}
	return n
}

// initial is what --initial-cluster says of all members.
func (c *Cluster) initial() string {
	var parts []string
	for _, m := range c.Members {
		parts = append(parts, m.Name+"="+m.peerURL())
	}
	return strings.Join(parts, ",")
}
