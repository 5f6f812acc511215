package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"go.uber.org/zap"
)

func (nd *testNode) client(t *testing.T) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{nd.addr}, Logger: zap.NewNop(), Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The services of etcd's recipes, on names that lie in different ranges and
// through different nodes.
func TestLockAndElection(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.nodes[0].split("m")
	lease := func(nd *testNode) int64 {
		resp, err := pb.NewLeaseClient(nd.conn).LeaseGrant(within(t, 5*time.Second), &pb.LeaseGrantRequest{TTL: 60})
		if err != nil {
			t.Fatal(err)
		}
		return resp.ID
	}
	a, b := v3lockpb.NewLockClient(c.nodes[0].conn), v3lockpb.NewLockClient(c.nodes[1].conn)
	held, err := a.Lock(within(t, 5*time.Second), &v3lockpb.LockRequest{Name: []byte("lock"), Lease: lease(c.nodes[0])})
	if err != nil || !strings.HasPrefix(string(held.Key), "lock/") {
		t.Fatalf("%v, %v", held, err)
	}
	second := make(chan error, 1)
	go func() {
		_, err := b.Lock(within(t, 10*time.Second), &v3lockpb.LockRequest{Name: []byte("lock"), Lease: lease(c.nodes[1])})
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("two hold the lock: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := a.Unlock(within(t, 5*time.Second), &v3lockpb.UnlockRequest{Key: held.Key}); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}

	election := v3electionpb.NewElectionClient(c.nodes[2].conn)
	observe, err := election.Observe(within(t, 10*time.Second), &v3electionpb.LeaderRequest{Name: []byte("zone")})
	if err != nil {
		t.Fatal(err)
	}
	won, err := election.Campaign(within(t, 5*time.Second), &v3electionpb.CampaignRequest{Name: []byte("zone"), Lease: lease(c.nodes[0]), Value: []byte("me")})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := observe.Recv()
	if err != nil || string(seen.Kv.Value) != "me" {
		t.Fatalf("%v, %v", seen, err)
	}
	if _, err := election.Proclaim(within(t, 5*time.Second), &v3electionpb.ProclaimRequest{Leader: won.Leader, Value: []byte("still me")}); err != nil {
		t.Fatal(err)
	}
	if seen, err = observe.Recv(); err != nil || string(seen.Kv.Value) != "still me" {
		t.Fatalf("%v, %v", seen, err)
	}
	if _, err := election.Resign(within(t, 5*time.Second), &v3electionpb.ResignRequest{Leader: won.Leader}); err != nil {
		t.Fatal(err)
	}
}

// post sends JSON to a gateway path and returns the status and the body.
func (nd *testNode) post(ctx context.Context, t *testing.T, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+nd.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The JSON gateway: field names, base64, numbers as strings, error bodies.
func TestGateway(t *testing.T) {
	nd := newCluster(t, 1, nil).nodes[0]
	ctx := within(t, 30*time.Second)
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

	watch, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+nd.addr+"/v3/watch",
		strings.NewReader(`{"create_request":{"key":"`+b64("foo")+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(watch)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"created":true`) {
		t.Fatalf("watch: %s", lines.Text())
	}
	if code, body := nd.post(ctx, t, "/v3/kv/put", `{"key":"`+b64("foo")+`","value":"`+b64("bar")+`"}`); code != 200 || !strings.Contains(body, `"revision":"2"`) {
		t.Fatalf("put: %d %s", code, body)
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), `"mod_revision":"2"`) {
		t.Fatalf("watch: %s", lines.Text())
	}
	code, body := nd.post(ctx, t, "/v3/kv/range", `{"key":"`+b64("foo")+`"}`)
	var got struct {
		Kvs []struct{ Key, Value string } `json:"kvs"`
	}
	if err := json.NewDecoder(bytes.NewBufferString(body)).Decode(&got); err != nil || code != 200 ||
		len(got.Kvs) != 1 || got.Kvs[0].Value != b64("bar") {
		t.Fatalf("range: %d %s", code, body)
	}
	if code, body := nd.post(ctx, t, "/v3/lock/lock", `{"name":"`+b64("l")+`"}`); code != 200 || !strings.Contains(body, `"key"`) {
		t.Fatalf("lock: %d %s", code, body)
	}
	code, body = nd.post(ctx, t, "/v3/kv/put", `{"value":"`+b64("bar")+`"}`)
	if code != 400 || !strings.Contains(body, "etcdserver: key is not provided") {
		t.Fatalf("an empty key: %d %s", code, body)
	}
	if code, _ := nd.post(ctx, t, "/v3/nothing", `{}`); code != 404 {
		t.Fatalf("an unknown path: %d", code)
	}
}
