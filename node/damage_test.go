package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage"
)

// toTables has a stopped node's engine write everything into tables and returns
// them.
func (nd *testNode) toTables(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(nd.cfg.DataDir, "engine")
	e, err := storage.Open(storage.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Defragment(t.Context()), e.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	return tables
}

func flipMiddle(t *testing.T, path string) (good []byte) {
	t.Helper()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 0x10
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	return good
}

func (nd *testNode) tryStart() bool {
	n, err := node.Start(nd.t.Context(), nd.cfg)
	if err != nil {
		return false
	}
	nd.node = n
	nd.conn.ResetConnectBackoff()
	return true
}

// readUntilFailure reads all keys until the node says that it cannot go on.
// Whatever is answered must be right.
func (nd *testNode) readUntilFailure(t *testing.T, n int, value func(int) string) error {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("k%03d", i)
		resp, err := nd.kv().Range(within(t, time.Second), &pb.RangeRequest{Key: []byte(key)}, grpc.WaitForReady(true))
		if err == nil && (len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != value(i)) {
			t.Fatalf("%s is %v", key, resp.Kvs)
		}
		select {
		case failure := <-nd.node.Failed():
			return failure
		default:
		}
	}
	return nil
}

// A node that comes upon a damaged block gives no answer from it, says which file
// it is and what to do, stops, and is not started again by whoever looks after it.
func TestDamagedBlockStopsTheNode(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, nil)
	nd := c.nodes[0]
	const n = 400
	value := func(i int) string { return fmt.Sprint(i, strings.Repeat("v", 500), i*i) }
	for i := range n {
		nd.put(fmt.Sprintf("k%03d", i), value(i))
	}
	nd.stop()
	// Of the tables some hold what only a start reads, or nobody.
	var failure error
	var table string
	var good []byte
	for _, table = range nd.toTables(t) {
		if good = flipMiddle(t, table); nd.tryStart() {
			if failure = nd.readUntilFailure(t, n, value); failure != nil {
				break
			}
			nd.kill()
		}
		if err := os.WriteFile(table, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var damaged *node.DamagedError
	if !errors.As(failure, &damaged) || !errors.Is(failure, storage.ErrDamaged) ||
		!strings.Contains(failure.Error(), filepath.Base(table)) || !strings.Contains(failure.Error(), "node remove") {
		t.Fatalf("the node goes on, or says too little: %v", failure)
	}
	nd.kill()
	refused(t, nd.cfg, filepath.Base(table))
	refused(t, nd.cfg, "earlier run")

	if err := errors.Join(os.WriteFile(table, good, 0o600), os.Remove(filepath.Join(nd.cfg.DataDir, "DAMAGED"))); err != nil {
		t.Fatal(err)
	}
	nd.start()
	for i := range n {
		nd.mustHave(fmt.Sprintf("k%03d", i), value(i), 0)
	}
}

// A damaged directory is refused with the file's name and what to do, and the
// documented way brings the node back with what the others hold.
func TestDamagedNodeIsRebuilt(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, func(i int, cfg *config.Config) { calm(i, cfg); cfg.StrictReconfigCheck = false })
	c.nodes[0].split("k020")
	for i := range 40 {
		c.nodes[0].put(fmt.Sprintf("k%03d", i), fmt.Sprint(i))
	}
	bad := c.nodes[2]
	id := bad.self().ID
	bad.stop()
	manifests, err := filepath.Glob(filepath.Join(bad.cfg.DataDir, "engine", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(manifests, err)
	}
	manifest := manifests[len(manifests)-1]
	if err := os.Truncate(manifest, 40); err != nil {
		t.Fatal(err)
	}
	refused(t, bad.cfg, filepath.Base(manifest))
	refused(t, bad.cfg, "node remove")

	// As docs/operations.md says.
	if _, err := c.nodes[0].admin().NodeRemove(within(t, 60*time.Second), &pontoonpb.NodeRemoveRequest{NodeId: id, Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(bad.cfg.DataDir, bad.cfg.DataDir+".damaged"); err != nil {
		t.Fatal(err)
	}
	c.joinAt(0)(&bad.cfg)
	wait(t, "the node to be let in again", func() bool {
		n, err := node.Start(t.Context(), bad.cfg)
		if err == nil {
			bad.node = n
		}
		return err == nil
	})
	bad.waitReady()
	wait(t, "every range to have three replicas again, all equal", func() bool {
		list, err := bad.admin().RangeList(within(t, 10*time.Second), &pontoonpb.RangeListRequest{})
		if err != nil || len(list.Ranges) < 4 {
			return false
		}
		for _, r := range list.Ranges {
			sums, err := bad.admin().RangeChecksum(within(t, 10*time.Second), &pontoonpb.RangeChecksumRequest{RangeId: r.Desc.RangeId})
			if err != nil || !sums.Equal || len(sums.Replicas) != 3 {
				return false
			}
		}
		return true
	})
	for i := range 40 {
		bad.mustHave(fmt.Sprintf("k%03d", i), fmt.Sprint(i), 0)
	}
}
