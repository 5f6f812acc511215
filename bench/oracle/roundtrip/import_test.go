package roundtrip

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

// contents is what an import keeps: keys, values and leases.
func (s *side) contents() string {
	s.t.Helper()
	resp, err := s.Range(s.ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	s.must(err)
	var b strings.Builder
	for _, kv := range resp.Kvs {
		fmt.Fprintf(&b, "%q=%q l%d\n", kv.Key, kv.Value, kv.Lease)
	}
	return b.String()
}

// An import under load that is interrupted, resumed and cut over ends with equal
// content, leases and roles.
func TestImportUnderLoad(t *testing.T) {
	from := newSide(t, cluster.StartEtcd, cluster.Options{})
	from.fill(3)
	to := newSide(t, cluster.StartPontoon, cluster.Options{Nodes: 3})
	to.must(to.Ranges().Split(to.ctx, []byte("m")))
	ctx, stop := context.WithCancel(from.ctx)
	defer stop()
	var writers sync.WaitGroup
	var wrote atomic.Int64
	for w := range 2 {
		c := from.node(w)
		writers.Go(func() { write(ctx, c, w, &wrote) })
	}
	args := []string{"import", "--from", from.Endpoints()[0], "--to", strings.Join(to.Endpoints(), ","),
		"--state", filepath.Join(t.TempDir(), "state.json")}
	out, err := cluster.Pontoon(append(args, "--until-caught-up")...)
	from.must(err)
	if !strings.Contains(out, "done") {
		t.Errorf("import says %s", out)
	}
	// It goes on from there: with leases that changed, and a compaction ahead of it.
	_, err = from.LeaseRevoke(from.ctx, &pb.LeaseRevokeRequest{ID: 1})
	from.must(err)
	_, err = from.LeaseGrant(from.ctx, &pb.LeaseGrantRequest{ID: 9, TTL: 900})
	from.must(err)
	_, err = from.Put(from.ctx, &pb.PutRequest{Key: []byte("late"), Lease: 9})
	from.must(err)
	_, err = from.DeleteRange(from.ctx, &pb.DeleteRangeRequest{Key: []byte("b"), RangeEnd: []byte("f")})
	from.must(err)
	rev, err := from.revision(from.ctx)
	from.must(err)
	_, err = from.Compact(from.ctx, &pb.CompactionRequest{Revision: rev})
	from.must(err)
	_, err = cluster.Pontoon(append(args, "--until-caught-up")...)
	from.must(err)
	stop()
	writers.Wait()
	out, err = cluster.Pontoon(append(args, "--until-caught-up")...)
	from.must(err)
	if one, two := from.contents(), to.contents(); one != two || len(one) < 1000 {
		t.Errorf("source\n%s\ntarget\n%s\n%s", one, two, out)
	}
	one, err := from.leases(from.ctx)
	from.must(err)
	two, err := to.leases(to.ctx)
	to.must(err)
	if !reflect.DeepEqual(one, two) {
		t.Errorf("leases of the source %q, of the target %q", one, two)
	}
	if _, err := cluster.Pontoon("import", "--from", from.Endpoints()[0], "--to", to.Endpoints()[0],
		"--state", filepath.Join(t.TempDir(), "other.json")); err == nil || !strings.Contains(err.Error(), "keys of its own") {
		t.Errorf("an import into a cluster with data: %v", err)
	}
}

// Ctrl-C is the cut-over: what was written until then is in the target, roles
// and users are, passwords are not.
func TestImportCutOver(t *testing.T) {
	from := newSide(t, cluster.StartEtcd, cluster.Options{})
	from.fill(4)
	from.secure()
	to := newSide(t, cluster.StartPontoon, cluster.Options{})
	cmd, err := cluster.PontoonCommand("import", "--from", from.Endpoints()[0], "--from-user", "root:root-pw",
		"--to", to.Endpoints()[0], "--state", filepath.Join(t.TempDir(), "state.json"))
	from.must(err)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	from.must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	_, err = from.Put(from.ctx, &pb.PutRequest{Key: []byte("signal"), Value: []byte("1")})
	from.must(err)
	for seen := int64(0); seen == 0; time.Sleep(5 * time.Millisecond) {
		resp, err := to.Range(to.ctx, &pb.RangeRequest{Key: []byte("signal")})
		to.must(err)
		seen = resp.Count
		select {
		case err := <-ended:
			t.Fatalf("import ended: %v\n%s", err, out.String())
		default:
		}
	}
	for i := range 200 {
		_, err = from.Put(from.ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "last%d", i)})
		from.must(err)
	}
	from.must(cmd.Process.Signal(os.Interrupt))
	select {
	case err = <-ended:
	case <-from.ctx.Done():
		_ = cmd.Process.Kill() // the test fails below
		err = <-ended
	}
	if err != nil || !strings.Contains(out.String(), "done") || !strings.Contains(out.String(), "without their passwords") {
		t.Errorf("import: %v\n%s", err, out.String())
	}
	if one, two := from.contents(), to.contents(); one != two {
		t.Errorf("source\n%s\ntarget\n%s", one, two)
	}
	one, err := from.auth(from.ctx)
	from.must(err)
	two, err := to.auth(to.ctx)
	to.must(err)
	drop := func(list []string) []string { // enabled, and the auth revision
		return slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, "user") && !strings.HasPrefix(s, "role") })
	}
	if !reflect.DeepEqual(drop(one), drop(two)) {
		t.Errorf("auth of the source %q, of the target %q", one, two)
	}
}
