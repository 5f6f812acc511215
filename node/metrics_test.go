package node_test

import (
	"bufio"
	"fmt"
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

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/metrics"
)

// scrape reads /metrics as Prometheus does.
func (nd *testNode) scrape() map[string]*dto.MetricFamily {
	nd.t.Helper()
	code, body := nd.get("/metrics")
	if code != http.StatusOK {
		nd.t.Fatalf("/metrics answers %d: %s", code, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		nd.t.Fatal(err)
	}
	return families
}

// total adds up the series of a family that have all the labels, "name=value".
// A histogram counts its observations.
func total(f *dto.MetricFamily, labels ...string) (sum float64) {
	for _, m := range f.GetMetric() {
		var have []string
		for _, l := range m.Label {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
			continue
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// queried is a metric that etcd's published alerts or dashboards query.
type queried struct{ name, kind, where string }

func mixin(t *testing.T) (list []queried) {
	t.Helper()
	file, err := os.Open("testdata/etcd_mixin_metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 4 && f[0] != "#" {
			list = append(list, queried{f[0], f[1], f[3]})
		}
	}
	if len(list) < 20 {
		t.Fatalf("only %d names read", len(list))
	}
	return list
}

func mustShow(t *testing.T, got map[string]*dto.MetricFamily, q queried) {
	t.Helper()
	f := got[q.name]
	if f == nil || len(f.Metric) == 0 {
		t.Errorf("%s is not there", q.name)
		return
	}
	if kind := strings.ToLower(f.GetType().String()); kind != q.kind {
		t.Errorf("%s is a %s, want a %s", q.name, kind, q.kind)
	}
}

const (
	puts    = 40
	gets    = 7
	deletes = 3
)

// load is a small one, counted exactly.
func (nd *testNode) load() {
	nd.t.Helper()
	ctx := within(nd.t, time.Minute)
	for i := range puts {
		nd.put(fmt.Sprintf("key-%03d", i), "value")
	}
	for range gets {
		nd.mustHave("key-001", "value", 0)
	}
	for i := range deletes {
		if _, err := nd.kv().DeleteRange(ctx, &pb.DeleteRangeRequest{Key: fmt.Appendf(nil, "key-%03d", i)}); err != nil {
			nd.t.Fatal(err)
		}
	}
	if _, err := nd.kv().Put(ctx, &pb.PutRequest{}); err == nil {
		nd.t.Fatal("a put without a key succeeded")
	}
}

// Everything that etcd's published dashboards and alerts query is there, of
// etcd's type, and says what happened.
func TestEtcdsDashboardsShowRealData(t *testing.T) {
	c := newCluster(t, 1, func(_ int, cfg *config.Config) { cfg.Metrics = "extensive" })
	nd := c.nodes[0]
	before := nd.scrape()
	nd.load()
	wait(t, "the leader to be seen", func() bool { return total(nd.scrape()["etcd_server_leader_changes_seen_total"]) > 0 })
	got := nd.scrape()
	for _, q := range mixin(t) {
		if q.where == "one" {
			mustShow(t, got, q)
		}
	}
	grew := func(name string, labels ...string) float64 {
		return total(got[name], labels...) - total(before[name], labels...)
	}
	put := []string{"grpc_service=etcdserverpb.KV", "grpc_method=Put", "grpc_type=unary"}
	for what, pair := range map[string][2]float64{
		"puts":             {grew("etcd_mvcc_put_total"), puts},
		"deletes":          {grew("etcd_mvcc_delete_total"), deletes},
		"ranges":           {grew("etcd_mvcc_range_total"), gets},
		"put bytes":        {grew("etcd_debugging_mvcc_total_put_size_in_bytes"), puts * float64(len("key-000"+"value"))},
		"live keys":        {grew("etcd_debugging_mvcc_keys_total"), puts - deletes},
		"revisions":        {grew("etcd_debugging_mvcc_current_revision"), puts + deletes},
		"started":          {grew("grpc_server_started_total", put...), puts + 1},
		"handled well":     {grew("grpc_server_handled_total", append(put, "grpc_code=OK")...), puts},
		"refused":          {grew("grpc_server_handled_total", append(put, "grpc_code=InvalidArgument")...), 1},
		"timed by gRPC":    {grew("grpc_server_handling_seconds", put...), puts + 1},
		"timed as etcd":    {grew("etcd_server_request_duration_seconds", "type=Put", "success=true"), puts},
		"has leader":       {total(got["etcd_server_has_leader"]), 1},
		"is leader":        {total(got["etcd_server_is_leader"]), 1},
		"leader changes":   {total(got["etcd_server_leader_changes_seen_total"]), 1},
		"failed proposals": {total(got["etcd_server_proposals_failed_total"]), 0},
		"pending":          {total(got["etcd_server_proposals_pending"]), 0},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	for _, name := range []string{
		"etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes", "process_resident_memory_bytes",
		"etcd_disk_wal_fsync_duration_seconds", "etcd_disk_wal_write_duration_seconds", "etcd_disk_wal_write_bytes_total",
		"etcd_disk_backend_commit_duration_seconds", "etcd_server_apply_duration_seconds", "etcd_server_proposals_committed_total",
		"etcd_server_proposals_applied_total", "etcd_network_client_grpc_received_bytes_total", "etcd_network_client_grpc_sent_bytes_total",
	} {
		if total(got[name]) <= 0 {
			t.Errorf("%s is %v", name, total(got[name]))
		}
	}
}

// Every family that the table calls real and that needs no special occasion is
// shown by a running node; nothing has a type of its own.
func TestRunningNodeShowsTheTable(t *testing.T) {
	nd := newCluster(t, 1, func(_ int, cfg *config.Config) { cfg.LeaseCheckpoint = true }).nodes[0]
	nd.load()
	got := nd.scrape()
	occasion := map[string]bool{ // there once what it counts happened
		"etcd_debugging_server_alarms": true, "etcd_network_active_peers": true, "etcd_network_disconnected_peers_total": true, "etcd_network_peer_received_bytes_total": true,
		"etcd_network_peer_round_trip_time_seconds": true, "etcd_network_peer_sent_bytes_total": true,
		"etcd_network_peer_sent_failures_total": true, "etcd_network_server_stream_failures_total": true,
		"etcd_server_learner_promote_failures": true, "grpc_server_handling_seconds": true,
	}
	for _, row := range metrics.Table() {
		f := got[row.Name]
		switch {
		case f == nil && row.State != metrics.Absent && !occasion[row.Name]:
			t.Errorf("%s is not there", row.Name)
		case f != nil && row.State == metrics.Absent:
			t.Errorf("%s is there", row.Name)
		case f != nil && strings.ToLower(f.GetType().String()) != string(row.Type):
			t.Errorf("%s is a %s, want %s", row.Name, f.GetType(), row.Type)
		}
	}
	if got["grpc_server_handling_seconds"] != nil {
		t.Error("histograms of gRPC without --metrics=extensive")
	}
	if on := total(got["etcd_server_feature_enabled"], "name=LeaseCheckpoint"); on != 1 {
		t.Errorf("LeaseCheckpoint is %v", on)
	}
}

// What is between members is counted where there are some: bytes both ways,
// round trips, who is there, and that one went.
func TestPeersAreCounted(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.nodes[0].load()
	for _, nd := range c.nodes {
		wait(t, "probes of "+nd.cfg.Name, func() bool {
			got := nd.scrape()
			return len(got["etcd_network_peer_round_trip_time_seconds"].GetMetric()) == 2 && total(got["etcd_network_active_peers"]) == 2
		})
		got := nd.scrape()
		for _, q := range mixin(t) {
			if q.where == "one" && q.name != "grpc_server_handling_seconds" || q.where == "three" {
				mustShow(t, got, q)
			}
		}
		if known := got["etcd_network_known_peers"]; len(known.GetMetric()) != 3 || total(known) != 3 {
			t.Errorf("known peers: %v", known)
		}
		if total(got["etcd_server_has_leader"]) != 1 {
			t.Error("no leader")
		}
		for _, name := range []string{"etcd_network_peer_sent_bytes_total", "etcd_network_peer_received_bytes_total"} {
			if f := got[name]; len(f.GetMetric()) != 2 || total(f) <= 0 {
				t.Errorf("%s: %v", name, f)
			}
		}
	}
	leaders := 0.0
	for _, nd := range c.nodes {
		leaders += total(nd.scrape()["etcd_server_is_leader"])
	}
	if leaders != 1 {
		t.Errorf("%v leaders", leaders)
	}
	gone := c.nodes[2]
	gone.kill()
	wait(t, "the loss of a member to be counted", func() bool {
		got := c.nodes[0].scrape()
		return total(got["etcd_network_active_peers"]) == 1 && total(got["etcd_network_disconnected_peers_total"]) > 0 &&
			total(got["etcd_network_peer_sent_failures_total"]) > 0 && total(got["etcd_server_has_leader"]) == 1
	})
	for _, q := range mixin(t) {
		if q.where == "failure" {
			mustShow(t, c.nodes[0].scrape(), q)
		}
	}
}
