package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.RemoveBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

type families map[string]*dto.MetricFamily

func scrape(t *testing.T, endpoint string) families {
	t.Helper()
	resp, err := http.Get("http://" + endpoint + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	got, err := parser.TextToMetricFamilies(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// total adds up the series that have all the labels, "name=value".
func (f families) total(name string, labels ...string) (sum float64) {
	for _, m := range f[name].GetMetric() {
		have := pairs(m)
		if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
			continue
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

func pairs(m *dto.Metric) (list []string) {
	for _, l := range m.Label {
		list = append(list, l.GetName()+"="+l.GetValue())
	}
	return list
}

// labelNames of a family's first series.
func labelNames(f *dto.MetricFamily) (names []string) {
	for _, l := range f.Metric[0].Label {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

// load does one of everything that is counted, and leaves a watch open.
func load(t *testing.T, endpoint string) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	kv, lease := pb.NewKVClient(conn), pb.NewLeaseClient(conn)
	for i := range 20 {
		_, err := kv.Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "k%02d", i), Value: []byte("value")}, grpc.WaitForReady(true))
		must("put", err)
	}
	for range 5 {
		_, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")})
		must("range", err)
	}
	_, err = kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k00"), RangeEnd: []byte("k03")})
	must("delete", err)
	_, err = kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("absent")})
	must("delete nothing", err)
	put := func(key string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte("txn")}}}
	}
	del := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("k10")}}}
	_, err = kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{put("a"), put("b"), del}, Failure: []*pb.RequestOp{put("c")}})
	must("txn", err)
	if _, err := kv.Put(ctx, &pb.PutRequest{}); err == nil {
		t.Fatal("a put without a key succeeded")
	}
	grant, err := lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60})
	must("grant", err)
	_, err = lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: grant.ID})
	must("revoke", err)
	_, err = lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 600})
	must("grant", err)
	watch, err := pb.NewWatchClient(conn).Watch(ctx)
	must("watch", err)
	must("create", watch.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte("w"), StartRevision: 1},
	}}))
	_, err = watch.Recv()
	must("created", err)
	_, err = kv.Put(ctx, &pb.PutRequest{Key: []byte("w")})
	must("put", err)
	_, err = watch.Recv()
	must("event", err)
}

// Pontoon shows every family that etcd shows after the same load, of the same
// type and with the same labels, and equal counts of what both count the same.
func TestFamiliesTypesAndCountsAreEtcds(t *testing.T) {
	etcd, err := cluster.StartEtcd(cluster.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	pontoon, err := cluster.StartPontoon(cluster.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer pontoon.Close()
	before := [2]families{scrape(t, etcd.Endpoints()[0]), scrape(t, pontoon.Endpoints()[0])}
	load(t, etcd.Endpoints()[0])
	load(t, pontoon.Endpoints()[0])
	after := [2]families{scrape(t, etcd.Endpoints()[0]), scrape(t, pontoon.Endpoints()[0])}

	compared := 0
	for name, f := range after[0] {
		got := after[1][name]
		switch {
		case got == nil:
			t.Errorf("%s is not there", name)
		case got.GetType() != f.GetType():
			t.Errorf("%s is a %s, in etcd a %s", name, got.GetType(), f.GetType())
		case !slices.Equal(labelNames(got), labelNames(f)):
			t.Errorf("%s has labels %v, in etcd %v", name, labelNames(got), labelNames(f))
		}
		compared++
	}
	if compared < 100 {
		t.Errorf("only %d families compared", compared)
	}
	equal := func(name string, labels ...string) {
		t.Helper()
		want := after[0].total(name, labels...) - before[0].total(name, labels...)
		got := after[1].total(name, labels...) - before[1].total(name, labels...)
		if got != want || want == 0 {
			t.Errorf("%s%v grew by %v, in etcd by %v", name, labels, got, want)
		}
	}
	for _, name := range []string{
		"etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_debugging_mvcc_total_put_size_in_bytes",
		"etcd_debugging_mvcc_current_revision", "etcd_debugging_mvcc_watcher_total", "etcd_debugging_mvcc_watch_stream_total",
		"etcd_debugging_mvcc_events_total", "etcd_debugging_lease_granted_total", "etcd_debugging_lease_revoked_total",
		"etcd_debugging_lease_ttl_total", "etcd_network_client_grpc_received_bytes_total",
	} {
		equal(name)
	}
	for _, method := range []string{"Put", "Range", "DeleteRange", "Txn", "LeaseGrant", "LeaseRevoke", "Watch"} {
		for _, family := range []string{"started", "msg_received", "msg_sent"} {
			equal("grpc_server_"+family+"_total", "grpc_method="+method)
		}
	}
	equal("grpc_server_handled_total", "grpc_method=Put", "grpc_code=OK")
	equal("grpc_server_handled_total", "grpc_method=Put", "grpc_code=InvalidArgument")
	equal("etcd_server_client_requests_total", "type=unary")
	equal("etcd_server_client_requests_total", "type=stream")
	for _, kind := range []string{"Put", "DeleteRange", "Txn", "Range", "LeaseGrant", "LeaseRevoke"} {
		equal("etcd_server_request_duration_seconds", "type="+kind, "success=true")
	}
}
