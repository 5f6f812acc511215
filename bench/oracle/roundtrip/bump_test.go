package roundtrip

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

const bump = 1000

// One file restored with a raised revision by etcdutl and by Pontoon: what clients read,
// what they are refused and what their watches say is the same on both sides.
func TestRaisedRevision(t *testing.T) {
	before := newSide(t, cluster.StartEtcd, cluster.Options{})
	before.fill(5)
	rev, err := before.revision(before.ctx)
	before.must(err)
	file := before.backup(before.client)
	etcd := newSide(t, cluster.StartEtcd, cluster.Options{Prepare: func(n cluster.Node) error {
		return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
			SnapshotPath: file, Name: n.Name, OutputDataDir: n.DataDir, PeerURLs: []string{n.PeerURL},
			InitialCluster: n.InitialCluster, InitialClusterToken: n.Token, RevisionBump: bump, MarkCompacted: true,
		})
	}})
	pontoon := newSide(t, cluster.StartPontoon, cluster.Options{Nodes: 3, Prepare: func(n cluster.Node) error {
		_, err := cluster.Pontoon("restore", file, "--name", n.Name, "--data-dir", n.DataDir,
			"--initial-advertise-peer-urls", n.PeerURL, "--initial-cluster", n.InitialCluster,
			"--initial-cluster-token", n.Token, "--range-bytes", "2000", "--bump-revision", fmt.Sprint(bump), "--mark-compacted")
		return err
	}})
	same(t, etcd, pontoon, 0, rev+bump)
	if content, err := pontoon.keys(pontoon.ctx, 0); err != nil || len(content) < 1000 {
		t.Fatal(content, err)
	}
	if now, err := pontoon.revision(pontoon.ctx); err != nil || now != rev+bump {
		t.Fatalf("the revision is %d, want %d: %v", now, rev+bump, err)
	}
	for _, at := range []int64{1, rev - 1, rev, rev + 1, rev + bump - 1, rev + bump, rev + bump + 1} {
		agree(t, etcd, pontoon, fmt.Sprintf("read at %d", at), func(s *side) string { return s.readAt(at) })
		agree(t, etcd, pontoon, fmt.Sprintf("watch from %d", at), func(s *side) string { return s.watchFrom(at, rev+bump) })
	}
	if got := pontoon.readAt(rev); !strings.Contains(got, "required revision has been compacted") { // not both wrong
		t.Error(got)
	}
	for _, at := range []int64{rev, rev + bump - 1, rev + bump, rev + bump + 100} {
		agree(t, etcd, pontoon, fmt.Sprintf("compact at %d", at), func(s *side) string {
			_, err := s.Compact(s.ctx, &pb.CompactionRequest{Revision: at})
			return fmt.Sprint(status.Code(err), err)
		})
	}
	goesOn(t, etcd, pontoon, rev+bump)
	// The next backup carries it on.
	again := etcdFrom(t, pontoon.backup(pontoon.node(1)))
	same(t, pontoon, again, 0)
	for _, at := range []int64{rev, rev + bump - 1} {
		agree(t, pontoon, again, fmt.Sprintf("read at %d", at), func(s *side) string { return s.readAt(at) })
	}
}

// agree compares what both sides say.
func agree(t *testing.T, a, b *side, what string, ask func(*side) string) {
	t.Helper()
	if one, two := ask(a), ask(b); one != two {
		t.Errorf("%s: %s says\n%s%s says\n%s", what, a.Name, one, b.Name, two)
	}
}

// readAt is the content at a revision, or the refusal.
func (s *side) readAt(rev int64) string {
	content, err := s.keys(s.ctx, rev)
	if err != nil {
		return fmt.Sprintln(status.Code(err), err)
	}
	return content
}

// watchFrom is how a watch of everything begins: refused, or with the events up to a
// revision. A progress answer says that there are no more.
func (s *side) watchFrom(rev, until int64) string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(s.conn).Watch(ctx)
	s.must(err)
	s.must(stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: rev},
	}}))
	var b strings.Builder
	for {
		resp, err := stream.Recv()
		s.must(err)
		switch {
		case resp.Created && !resp.Canceled:
			if rev > until {
				return "created for the future\n"
			}
			go askProgress(ctx, stream)
		case resp.Canceled:
			fmt.Fprintf(&b, "canceled: %q, compacted at %d\n", resp.CancelReason, resp.CompactRevision)
			return b.String()
		case len(resp.Events) == 0 && resp.Header.Revision >= until:
			return b.String() + "nothing more\n"
		}
		for _, ev := range resp.Events {
			fmt.Fprintf(&b, "%s %q %d\n", ev.Type, ev.Kv.Key, ev.Kv.ModRevision)
		}
	}
}

// askProgress asks again and again: etcd does not answer while a watch catches up.
func askProgress(ctx context.Context, stream pb.Watch_WatchClient) {
	ask := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for stream.Send(ask) == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// goesOn writes to both: revisions follow the raised one, and watches see it.
func goesOn(t *testing.T, etcd, pontoon *side, from int64) {
	t.Helper()
	for _, s := range []*side{etcd, pontoon} {
		resp, err := s.Put(s.ctx, &pb.PutRequest{Key: []byte("goes"), Value: []byte("on")})
		s.must(err)
		if resp.Header.Revision != from+1 {
			t.Errorf("%s: the first write is at %d, want %d", s.Name, resp.Header.Revision, from+1)
		}
		_, err = s.DeleteRange(s.ctx, &pb.DeleteRangeRequest{Key: []byte("goes")})
		s.must(err)
	}
	for _, at := range []int64{from, from + 1, from + 2} {
		agree(t, etcd, pontoon, fmt.Sprintf("watch from %d", at), func(s *side) string { return s.watchFrom(at, from+2) })
	}
	same(t, etcd, pontoon, 0, from+1)
	var hashes []string
	for i := range pontoon.Endpoints() {
		h, err := pontoon.node(i).HashKV(pontoon.ctx, &pb.HashKVRequest{})
		pontoon.must(err)
		hashes = append(hashes, fmt.Sprint(h.Hash, h.CompactRevision, h.HashRevision))
	}
	if slices.Sort(hashes); hashes[0] != hashes[2] {
		t.Errorf("HashKV differs: %q", hashes)
	}
}

// What cannot be meant is refused before anything is written.
func TestRaisedRevisionRefusals(t *testing.T) {
	before := newSide(t, cluster.StartEtcd, cluster.Options{})
	before.fill(6)
	file := before.backup(before.client)
	for want, args := range map[string][]string{
		"--mark-compacted required if --bump-revision > 0": {"--bump-revision", "5"},
		"--mark-compacted required":                        {"--mark-compacted"},
		"cannot be raised":                                 {"--mark-compacted", "--bump-revision", "9223372036854775807"},
		"invalid argument":                                 {"--mark-compacted", "--bump-revision", "-1"},
	} {
		dir := filepath.Join(t.TempDir(), "n")
		out, err := cluster.Pontoon(append([]string{"restore", file, "--data-dir", dir}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s %v, want %q", args, out, err, want)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("%q leaves %q", args, left)
		}
	}
}
