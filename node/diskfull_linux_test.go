package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/node/config"
)

// smallDisk mounts a file system of so many MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skip("a file system cannot be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillUp writes, as several clients, until the cluster has no space, and returns
// the keys that went in.
func (nd *testNode) fillUp(t *testing.T, ctx context.Context) []string {
	t.Helper()
	var mu sync.Mutex
	var keys []string
	var wg sync.WaitGroup
	for w := range byte(4) {
		wg.Go(func() {
			value := make([]byte, 512<<10)
			src := rand.NewChaCha8([32]byte{w})
			for i := 0; ; i++ {
				src.Read(value)
				key := fmt.Sprintf("big%d-%05d", w, i)
				_, err := nd.kv().Put(ctx, &pb.PutRequest{Key: []byte(key), Value: value})
				if isError(err, rpctypes.ErrGRPCNoSpace) {
					return
				}
				if err != nil {
					t.Errorf("put %s: %v", key, err)
					return
				}
				mu.Lock()
				keys = append(keys, key)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return keys
}

func (nd *testNode) alarms(t *testing.T, ctx context.Context) []*pb.AlarmMember {
	t.Helper()
	resp, err := nd.maintenance().Alarm(ctx, &pb.AlarmRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Alarms
}

// A disk that fills up raises NOSPACE while the engine still has room to work.
// Reads and deletions go on, and what they free is given back: the cluster takes
// writes again, and starts again.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 512)
	nd := newCluster(t, 1, func(i int, cfg *config.Config) {
		calm(i, cfg)
		cfg.DataDir = filepath.Join(disk, "n1")
	}).nodes[0]
	ctx := within(t, 3*time.Minute)
	nd.put("first", "1")
	full := nd.fillUp(t, ctx)
	t.Logf("full after %d values", len(full))
	if len(full) < 20 || len(nd.alarms(t, ctx)) == 0 {
		t.Fatalf("%d values, alarms %v", len(full), nd.alarms(t, ctx))
	}
	nd.mustHave("first", "1", 0)
	for _, key := range full {
		if _, err := nd.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(key)}); err != nil {
			t.Fatalf("delete %s: %v", key, err)
		}
	}
	head, err := nd.kv().Range(ctx, &pb.RangeRequest{Key: []byte("first")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nd.kv().Compact(ctx, &pb.CompactionRequest{Revision: head.Header.Revision, Physical: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := nd.maintenance().Defragment(ctx, &pb.DefragmentRequest{}); err != nil {
		t.Fatal(err)
	}
	nd.disarm(t, ctx)
	rev := nd.put("after", "1")
	nd.stop()
	nd.start()
	nd.waitReady()
	nd.mustHave("after", "1", rev)
	nd.mustHave("first", "1", 0)
}

// disarm takes the alarms away until they stay away.
func (nd *testNode) disarm(t *testing.T, ctx context.Context) {
	t.Helper()
	wait(t, "the alarms to stay away", func() bool {
		for _, a := range nd.alarms(t, ctx) {
			if _, err := nd.maintenance().Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.MemberID, Alarm: a.Alarm}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := nd.kv().Put(ctx, &pb.PutRequest{Key: []byte("probe"), Value: []byte("1")})
		return err == nil
	})
}

// Somebody else fills the disk: the node says so before it would fail, whatever
// room its quota leaves, and goes on once there is room again.
func TestDiskFilledByOthers(t *testing.T) {
	for _, quota := range []int64{0, 8 << 30} {
		t.Run(fmt.Sprint("quota ", quota), func(t *testing.T) { diskFilledByOthers(t, quota) })
	}
}

func diskFilledByOthers(t *testing.T, quota int64) {
	disk := smallDisk(t, 512)
	nd := newCluster(t, 1, func(i int, cfg *config.Config) {
		calm(i, cfg)
		cfg.DataDir = filepath.Join(disk, "n1")
		cfg.QuotaBackendBytes = quota
	}).nodes[0]
	ctx := within(t, 2*time.Minute)
	nd.put("first", "1")
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	leave := int64(512<<20) / 40 // half of a twentieth
	if err := errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-leave), f.Close()); err != nil {
		t.Fatal(err)
	}
	wait(t, "the alarm", func() bool { return len(nd.alarms(t, ctx)) > 0 })
	if _, err := nd.kv().Put(ctx, &pb.PutRequest{Key: []byte("a"), Value: []byte("1")}); !isError(err, rpctypes.ErrGRPCNoSpace) {
		t.Errorf("a put into a full cluster: %v", err)
	}
	nd.mustHave("first", "1", 0)
	if _, err := nd.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("first")}); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	nd.disarm(t, ctx)
	nd.put("a", "2")
}
