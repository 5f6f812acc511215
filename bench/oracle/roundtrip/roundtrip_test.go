package roundtrip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.RemoveBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// side is a running cluster and a client of its first node.
type side struct {
	*client
	*cluster.Cluster
	t   *testing.T
	ctx context.Context
}

func newSide(t *testing.T, start func(cluster.Options) (*cluster.Cluster, error), o cluster.Options) *side {
	t.Helper()
	c, err := start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	s := &side{Cluster: c, t: t, ctx: ctx}
	s.client = s.node(0)
	return s
}

func (s *side) node(i int) *client {
	s.t.Helper()
	c, err := dial(s.Endpoints()[i%len(s.Endpoints())])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.conn.Close() })
	return c
}

func (s *side) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// etcdFrom starts etcd from a backup by etcdutl's own code, which must find the
// file in order first (I1).
func etcdFrom(t *testing.T, file string) *side {
	t.Helper()
	m := snapshot.NewV3(zap.NewNop())
	if _, err := m.Status(file); err != nil {
		t.Fatalf("etcdutl snapshot status: %v", err)
	}
	return newSide(t, cluster.StartEtcd, cluster.Options{Prepare: func(n cluster.Node) error {
		return m.Restore(snapshot.RestoreConfig{
			SnapshotPath: file, Name: n.Name, OutputDataDir: n.DataDir, PeerURLs: []string{n.PeerURL},
			InitialCluster: n.InitialCluster, InitialClusterToken: n.Token,
		})
	}})
}

// pontoonFrom starts Pontoon from a backup, in several small ranges.
func pontoonFrom(t *testing.T, file string, nodes int) *side {
	t.Helper()
	return newSide(t, cluster.StartPontoon, cluster.Options{Nodes: nodes, Prepare: func(n cluster.Node) error {
		_, err := cluster.Pontoon("restore", file, "--name", n.Name, "--data-dir", n.DataDir,
			"--initial-advertise-peer-urls", n.PeerURL, "--initial-cluster", n.InitialCluster,
			"--initial-cluster-token", n.Token, "--range-bytes", "2000")
		return err
	}})
}

// fill writes what a backup has to carry: many versions, txns of several keys,
// deletions, leases with and without keys, a compaction.
func (s *side) fill(seed uint64) {
	s.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	key := func() []byte { return fmt.Appendf(nil, "%c%d", 'a'+rng.IntN(26), rng.IntN(5)) }
	for id := int64(1); id <= 3; id++ {
		_, err := s.LeaseGrant(s.ctx, &pb.LeaseGrantRequest{ID: id, TTL: 1000 * id})
		s.must(err)
	}
	put := func(k []byte) *pb.PutRequest {
		return &pb.PutRequest{Key: k, Value: fmt.Appendf(nil, "%d", rng.Int()), Lease: rng.Int64N(3)}
	}
	for i := range 300 {
		var err error
		switch rng.IntN(10) {
		case 0:
			_, err = s.DeleteRange(s.ctx, &pb.DeleteRangeRequest{Key: key()})
		case 1:
			k := key()[:1]
			_, err = s.DeleteRange(s.ctx, &pb.DeleteRangeRequest{Key: k, RangeEnd: []byte{k[0] + 1}})
		case 2, 3:
			ops := []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key()}}}}
			for _, k := range []string{"A", "m9", "z9"} {
				ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put([]byte(k))}})
			}
			_, err = s.Txn(s.ctx, &pb.TxnRequest{Success: ops})
		default:
			_, err = s.Put(s.ctx, put(key()))
		}
		s.must(err)
		if i == 150 {
			rev, err := s.revision(s.ctx)
			s.must(err)
			_, err = s.Compact(s.ctx, &pb.CompactionRequest{Revision: rev - 20, Physical: true})
			s.must(err)
		}
	}
	_, err := s.LeaseRevoke(s.ctx, &pb.LeaseRevokeRequest{ID: 2})
	s.must(err)
}

// secure turns authentication on and goes on as root.
func (s *side) secure() {
	s.t.Helper()
	for _, user := range []string{"root", "reader"} {
		_, err := s.UserAdd(s.ctx, &pb.AuthUserAddRequest{Name: user, Password: user + "-pw"})
		s.must(err)
	}
	for _, role := range []string{"root", "some"} {
		_, err := s.RoleAdd(s.ctx, &pb.AuthRoleAddRequest{Name: role})
		s.must(err)
	}
	_, err := s.RoleGrantPermission(s.ctx, &pb.AuthRoleGrantPermissionRequest{Name: "some",
		Perm: &authpb.Permission{PermType: authpb.Permission_READ, Key: []byte("a"), RangeEnd: []byte("c")}})
	s.must(err)
	for user, role := range map[string]string{"root": "root", "reader": "some"} {
		_, err := s.UserGrantRole(s.ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: role})
		s.must(err)
	}
	_, err = s.AuthEnable(s.ctx, &pb.AuthEnableRequest{})
	s.must(err)
	s.must(s.login(s.ctx, "root", "root-pw"))
}

// save takes a backup through a node.
func (s *side) backup(through *client) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "backup.db")
	through.token = s.token
	s.must(through.save(s.ctx, path))
	return path
}

// same compares everything that clients can see, at several revisions.
func same(t *testing.T, a, b *side, revs ...int64) {
	t.Helper()
	for _, rev := range revs {
		one, err := a.keys(a.ctx, rev)
		a.must(err)
		two, err := b.keys(b.ctx, rev)
		b.must(err)
		if one != two {
			t.Errorf("keys at revision %d: %s has\n%s%s has\n%s", rev, a.Name, one, b.Name, two)
		}
	}
	for what, read := range map[string]func(*client) (any, error){
		"revision": func(c *client) (any, error) { return c.revision(a.ctx) },
		"leases":   func(c *client) (any, error) { return c.leases(a.ctx) },
		"auth":     func(c *client) (any, error) { return c.auth(a.ctx) },
	} {
		one, err := read(a.client)
		a.must(err)
		two, err := read(b.client)
		b.must(err)
		if !reflect.DeepEqual(one, two) {
			t.Errorf("%s: %s has %v, %s has %v", what, a.Name, one, b.Name, two)
		}
	}
}

func (s *side) hash(rev int64) (uint32, int64) {
	s.t.Helper()
	h, err := s.HashKV(s.ctx, &pb.HashKVRequest{Revision: rev})
	s.must(err)
	return h.Hash, h.CompactRevision
}

// etcd to Pontoon and back: the content is the same at every step, and etcd's
// own HashKV in the end what it was.
func TestEtcdPontoonEtcd(t *testing.T) {
	before := newSide(t, cluster.StartEtcd, cluster.Options{})
	before.fill(1)
	before.secure()
	rev, err := before.revision(before.ctx)
	before.must(err)
	pontoon := pontoonFrom(t, before.backup(before.client), 3)
	pontoon.must(pontoon.login(pontoon.ctx, "root", "root-pw"))
	same(t, before, pontoon, 0, rev-30, rev-100)
	reader := pontoon.node(1)
	pontoon.must(reader.login(pontoon.ctx, "reader", "reader-pw"))
	if _, err := reader.Put(pontoon.ctx, &pb.PutRequest{Key: []byte("a")}); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a reader writes: %v", err)
	}
	after := etcdFrom(t, pontoon.backup(pontoon.node(2)))
	after.must(after.login(after.ctx, "root", "root-pw"))
	same(t, before, after, 0, rev-30, rev-100)
	for _, at := range []int64{rev, rev - 10} {
		h1, c1 := before.hash(at)
		h2, c2 := after.hash(at)
		if h1 != h2 || c1 != c2 {
			t.Errorf("HashKV at %d is %x (compacted at %d), was %x (%d)", at, h2, c2, h1, c1)
		}
	}
	_, err = after.Put(after.ctx, &pb.PutRequest{Key: []byte("goes"), Value: []byte("on")})
	after.must(err)
}

// Pontoon to etcd: three nodes, ranges split through the keys, txns over them.
func TestPontoonEtcd(t *testing.T) {
	before := newSide(t, cluster.StartPontoon, cluster.Options{Nodes: 3})
	for _, at := range []string{"f", "m", "t"} {
		before.must(before.Ranges().Split(before.ctx, []byte(at)))
	}
	before.fill(2)
	before.secure()
	rev, err := before.revision(before.ctx)
	before.must(err)
	file := before.backup(before.node(1))
	status, err := snapshot.NewV3(zap.NewNop()).Status(file)
	if err != nil || status.Revision != rev || status.Version != "3.7.0" {
		t.Errorf("etcdutl snapshot status: %+v, %v, want revision %d", status, err, rev)
	}
	after := etcdFrom(t, file)
	after.must(after.login(after.ctx, "root", "root-pw"))
	same(t, before, after, 0, rev-30, rev-100)
}

// Backups taken while clients write and ranges split: etcd holds at the backup's
// revision what Pontoon held at it.
func TestBackupUnderLoad(t *testing.T) {
	before := newSide(t, cluster.StartPontoon, cluster.Options{Nodes: 3})
	before.must(before.Ranges().Split(before.ctx, []byte("m")))
	ctx, stop := context.WithCancel(before.ctx)
	defer stop()
	var writers sync.WaitGroup
	var wrote atomic.Int64
	for w := range 3 {
		c := before.node(w)
		writers.Go(func() { write(ctx, c, w, &wrote) })
	}
	defer writers.Wait()
	defer stop()
	for i, at := range []string{"c", "p", "w"} {
		for target := wrote.Load() + 100; wrote.Load() < target && before.ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		split := make(chan error, 1)
		go func() { split <- before.Ranges().Split(before.ctx, []byte(at)) }()
		file := before.backup(before.node(i))
		before.must(<-split)
		after := etcdFrom(t, file)
		rev, err := after.revision(after.ctx)
		after.must(err)
		one, err := before.keys(before.ctx, rev)
		before.must(err)
		two, err := after.keys(after.ctx, 0)
		after.must(err)
		if one != two || len(one) < 1000 {
			t.Errorf("at revision %d Pontoon has\n%setcd has\n%s", rev, one, two)
		}
	}
}

// write puts and deletes until ctx ends, half of it in txns over ranges.
func write(ctx context.Context, c *client, w int, wrote *atomic.Int64) {
	rng := rand.New(rand.NewPCG(uint64(w), 7))
	put := func(key string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
			Key: []byte(key), Value: fmt.Appendf(nil, "%d", rng.Int())}}}
	}
	for ctx.Err() == nil {
		n := rng.IntN(40)
		_, err := c.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
			put(fmt.Sprintf("a%d-%d", w, n)), put(fmt.Sprintf("n%d-%d", w, n)), put(fmt.Sprintf("x%d-%d", w, n)),
		}})
		if err == nil && n%5 == 0 {
			_, err = c.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: fmt.Appendf(nil, "n%d-%d", w, n)})
		}
		if err == nil {
			wrote.Add(1)
		}
	}
}
