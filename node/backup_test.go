package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/etcdfile"
	"github.com/pontoon-kv/pontoon/node/restore"
)

// saveBackup takes a backup through a node, as etcdctl does.
func (nd *testNode) saveBackup(ctx context.Context) (string, error) {
	stream, err := nd.maintenance().Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return "", err
	}
	var file bytes.Buffer
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		file.Write(part.Blob)
	}
	path := filepath.Join(nd.t.TempDir(), "backup")
	return path, os.WriteFile(path, file.Bytes(), 0o600)
}

func (nd *testNode) mustSave() string {
	nd.t.Helper()
	path, err := nd.saveBackup(within(nd.t, time.Minute))
	if err != nil {
		nd.t.Fatal(err)
	}
	return path
}

// restored starts a new cluster of n nodes from a backup.
func restored(t *testing.T, n int, file string, rangeBytes int64) *cluster {
	t.Helper()
	c := layOut(t, n, nil)
	for _, nd := range c.nodes {
		if _, err := restore.Run(t.Context(), restoreOptions(&nd.cfg, file, rangeBytes)); err != nil {
			t.Fatal(err)
		}
	}
	c.start()
	return c
}

func restoreOptions(cfg *config.Config, file string, rangeBytes int64) restore.Options {
	return restore.Options{
		File: file, DataDir: cfg.DataDir, Name: cfg.Name, InitialCluster: cfg.InitialCluster,
		InitialClusterToken: cfg.InitialClusterToken, AdvertisePeerURLs: cfg.AdvertisePeerURLs, RangeBytes: rangeBytes,
	}
}

func (nd *testNode) hashKV(rev int64) uint32 {
	nd.t.Helper()
	resp, err := nd.maintenance().HashKV(within(nd.t, 20*time.Second), &pb.HashKVRequest{Revision: rev})
	if err != nil {
		nd.t.Fatal(err)
	}
	return resp.Hash
}

// pairs writes the same number to two keys of different ranges, in one txn,
// again and again until ctx ends.
func (nd *testNode) pairs(ctx context.Context, writer int, done *atomic.Int64) {
	for i := 1; ctx.Err() == nil; i++ {
		value := fmt.Appendf(nil, "%d", i)
		var ops []*pb.RequestOp
		for _, half := range []string{"left", "right"} {
			ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
				Key: fmt.Appendf(nil, "%s/%d/%d", half, writer, i%10), Value: value}}})
		}
		if _, err := nd.kv().Txn(ctx, &pb.TxnRequest{Success: ops}); err == nil {
			done.Add(1)
		}
	}
}

// P44: a backup taken while txns over ranges are written and ranges split, by
// every node at once, holds each txn whole or not at all, and a cluster made of
// it hashes as the old one does at its revision.
func TestBackupIsACut(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	c.nodes[0].split("m")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	var done atomic.Int64
	for w := range 4 {
		writers.Go(func() { c.nodes[w%3].pairs(ctx, w, &done) })
	}
	wait(t, "txns", func() bool { return done.Load() > 20 })
	files := make([]string, 3)
	var backups sync.WaitGroup
	for i, nd := range c.nodes {
		backups.Go(func() {
			for range 2 { // they wait for one another
				files[i], _ = nd.saveBackup(within(t, time.Minute))
			}
		})
	}
	for _, at := range []string{"left/1", "left/3", "right/2", "left/2/5"} {
		c.nodes[1].split(at)
	}
	backups.Wait()
	stop()
	writers.Wait()
	for _, file := range files {
		checkPairs(t, file)
	}
	rev := contents(t, files[2]).Revision
	again := restored(t, 3, files[2], 300)
	for _, nd := range again.nodes {
		if old, now := c.nodes[0].hashKV(int64(rev)), nd.hashKV(int64(rev)); old != now {
			t.Errorf("hash of %s at revision %d is %x, was %x", nd.cfg.Name, rev, now, old)
		}
	}
	if next := again.nodes[1].put("next", "1"); next != int64(rev)+1 {
		t.Errorf("the first revision after %d is %d", rev, next)
	}
}

func contents(t *testing.T, file string) *etcdfile.Contents {
	t.Helper()
	f := openBackup(t, file)
	defer f.Close()
	c, err := f.Contents()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openBackup(t *testing.T, file string) *etcdfile.File {
	t.Helper()
	_, err := etcdfile.Verify(file, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := etcdfile.Open(file, true)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checkPairs finds both halves of every txn, and no revision left out.
func checkPairs(t *testing.T, file string) {
	t.Helper()
	f := openBackup(t, file)
	defer f.Close()
	halves := map[string][]string{}
	n := 0
	if err := f.Versions(func(v etcdfile.Version) error {
		half, rest, _ := strings.Cut(string(v.KV.Key), "/")
		id := fmt.Sprintf("%d %s %s", v.Revision, rest, v.KV.Value)
		halves[id] = append(halves[id], half)
		n++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for id, have := range halves {
		if len(have) != 2 {
			t.Errorf("of the txn %s there is only %s", id, have)
		}
	}
	if n < 40 {
		t.Errorf("only %d versions", n)
	}
}

// What a client that goes away leaves: nothing, and the turn of the next.
func TestBackupThatIsCanceled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	for i := range 50 {
		nd.put(fmt.Sprintf("k%d", i), strings.Repeat("v", 100_000))
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := nd.maintenance().Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	nd.mustSave()
	wait(t, "the directories to go", func() bool {
		left, err := filepath.Glob(filepath.Join(nd.cfg.DataDir, "backup-*"))
		return err == nil && len(left) == 0
	})
}

// Leases with their keys, deletions and the floor survive; so
// does a lease that nothing names. The restored cluster may have another size.
func TestRestoreKeepsAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	ctx := within(t, time.Minute)
	for i := range 30 {
		nd.put(fmt.Sprintf("k%02d", i), "v")
	}
	for id, key := range map[int64]string{77: "leased", 78: ""} {
		if _, err := nd.lease().LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: 500}); err != nil {
			t.Fatal(err)
		}
		if key == "" {
			continue
		}
		if _, err := nd.kv().Put(ctx, &pb.PutRequest{Key: []byte(key), Lease: id}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nd.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k1"), RangeEnd: []byte("k2")}); err != nil {
		t.Fatal(err)
	}
	last := nd.put("k00", "again")
	if _, err := nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: last - 1, Physical: true}); err != nil {
		t.Fatal(err)
	}
	file := nd.mustSave()
	hash := nd.hashKV(last)
	again := restored(t, 3, file, 40)
	for _, nd := range again.nodes {
		if now := nd.hashKV(last); now != hash {
			t.Errorf("hash of %s is %x, was %x", nd.cfg.Name, now, hash)
		}
	}
	nd = again.nodes[2]
	nd.mustHave("k00", "again", last)
	ttl, err := nd.lease().LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 77, Keys: true})
	if err != nil || ttl.GrantedTTL != 500 || len(ttl.Keys) != 1 {
		t.Fatalf("lease: %v, %v", ttl, err)
	}
	if all, err := nd.lease().LeaseLeases(ctx, &pb.LeaseLeasesRequest{}); err != nil || len(all.Leases) != 2 {
		t.Errorf("leases: %v, %v", all, err)
	}
	if _, err := nd.kv().Range(ctx, &pb.RangeRequest{Key: []byte("k00"), Revision: last - 2}); status.Code(err) != codes.OutOfRange {
		t.Errorf("a read below the floor: %v", err)
	}
	if _, err := nd.lease().LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 77}); err != nil {
		t.Fatal(err)
	}
	if r, err := nd.kv().Range(ctx, &pb.RangeRequest{Key: []byte("leased")}); err != nil || r.Count != 0 {
		t.Errorf("a revoked lease left its key: %v, %v", r, err)
	}
}

// Users come back with their passwords and permissions, and every node takes
// the tokens of any: the secret that signs them is made anew, once.
func TestRestoreKeepsAuth(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	nd.put("a", "1")
	ctx := within(t, time.Minute)
	auth := pb.NewAuthClient(nd.conn)
	for _, step := range []func() error{
		func() error {
			_, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "pw"})
			return err
		},
		func() error { _, err := auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"}); return err },
		func() error {
			_, err := auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
			return err
		},
		func() error { _, err := auth.AuthEnable(ctx, &pb.AuthEnableRequest{}); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nd.saveBackup(ctx); err == nil {
		t.Error("a backup was given to nobody in particular")
	}
	file, err := nd.saveBackup(login(ctx, nd))
	if err != nil {
		t.Fatal(err)
	}
	again := restored(t, 3, file, 0)
	if _, err := again.nodes[0].kv().Range(ctx, &pb.RangeRequest{Key: []byte("a")}); err == nil {
		t.Error("a read without a login was answered")
	}
	for i, nd := range again.nodes {
		as := login(ctx, nd)
		if r, err := again.nodes[(i+1)%3].kv().Range(as, &pb.RangeRequest{Key: []byte("a")}); err != nil || r.Count != 1 {
			t.Errorf("a read with the token of %s: %v, %v", nd.cfg.Name, r, err)
		}
	}
}

// login returns a context with root's token.
func login(ctx context.Context, nd *testNode) context.Context {
	nd.t.Helper()
	resp, err := pb.NewAuthClient(nd.conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "pw"})
	if err != nil || resp.Token == "" {
		nd.t.Fatalf("login: %v, %v", resp, err)
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, resp.Token)
}

// R2: nodes that were restored from different files never form a cluster.
func TestRestoredFromDifferentFiles(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	c.nodes[0].put("a", "1")
	first := c.nodes[0].mustSave()
	c.nodes[0].put("a", "2")
	second := c.nodes[0].mustSave()
	l := layOut(t, 2, nil)
	a, err := restore.Run(t.Context(), restoreOptions(&l.nodes[0].cfg, first, 0))
	if err != nil {
		t.Fatal(err)
	}
	b, err := restore.Run(t.Context(), restoreOptions(&l.nodes[1].cfg, second, 0))
	if err != nil {
		t.Fatal(err)
	}
	if a.ClusterID == b.ClusterID {
		t.Fatal("both call themselves the same cluster")
	}
	for _, nd := range l.nodes {
		nd.start()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if r, err := l.nodes[0].kv().Put(ctx, &pb.PutRequest{Key: []byte("b")}); err == nil {
		t.Errorf("they found a quorum: %v", r)
	}
}

// R3: a directory with something in it is left alone, and one whose restore did
// not finish starts no node.
func TestRestoreDirectory(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	c.nodes[0].put("a", "1")
	file := c.nodes[0].mustSave()
	if _, err := restore.Run(t.Context(), restoreOptions(&c.nodes[0].cfg, file, 0)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restoring into a node's directory: %v", err)
	}
	l := layOut(t, 1, nil)
	dir := l.nodes[0].cfg.DataDir
	torn := filepath.Join(t.TempDir(), "torn")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[5000] ^= 1
	if err := os.WriteFile(torn, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Run(t.Context(), restoreOptions(&l.nodes[0].cfg, torn, 0)); err == nil {
		t.Error("a damaged file was restored")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed restore left something: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "restore.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Start(t.Context(), l.nodes[0].cfg); err == nil || !strings.Contains(err.Error(), "did not finish") {
		t.Errorf("starting on half a restore: %v", err)
	}
}

// dump is all versions of a backup, and its leases.
func dump(t *testing.T, file string) string {
	t.Helper()
	f := openBackup(t, file)
	defer f.Close()
	var b strings.Builder
	if err := f.Versions(func(v etcdfile.Version) error {
		_, err := fmt.Fprintf(&b, "%d.%d %v %v\n", v.Revision, v.Sub, v.Tombstone, v.KV)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	c, err := f.Contents()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "floor %d, leases %v", c.Floor, c.Leases)
	return b.String()
}

// Whichever node is asked, and wherever the ranges lie, the backup is the same;
// also while a node is down.
func TestBackupOverNodes(t *testing.T) {
	t.Parallel()
	one := newCluster(t, 1, nil).nodes[0]
	ctx := within(t, time.Minute)
	for id := int64(1); id <= 3; id++ {
		if _, err := one.lease().LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: 600}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		_, err := one.kv().Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "k%03d", i*7%100), Value: fmt.Appendf(nil, "%d", i), Lease: int64(i % 4)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := one.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k02"), RangeEnd: []byte("k04")}); err != nil {
		t.Fatal(err)
	}
	file := one.mustSave()
	want := dump(t, file)
	five := restored(t, 5, file, 150)
	for _, nd := range five.nodes {
		got := nd.mustSave()
		if rev := contents(t, got).Revision; rev != contents(t, file).Revision {
			t.Errorf("%s says revision %d", nd.cfg.Name, rev)
		}
		if got := dump(t, got); got != want {
			t.Errorf("the backup of %s has\n%s\nwant\n%s", nd.cfg.Name, got, want)
		}
	}
	five.nodes[0].kill() // revisions may be lost with it (P10), changes are not
	for _, nd := range five.nodes[1:] {
		if got := dump(t, nd.mustSave()); got != want {
			t.Errorf("with a node down the backup of %s has\n%s\nwant\n%s", nd.cfg.Name, got, want)
		}
	}
}
