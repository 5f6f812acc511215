package metrics

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
)

type fixed Facts

func (f fixed) Facts() Facts { return Facts(f) }

// gathered is what a node with nothing but this package shows.
func gathered(t *testing.T, f Facts) map[string]*dto.MetricFamily {
	t.Helper()
	reg := prometheus.NewRegistry()
	r := NewRPC(reg, true, encoding.GetCodecV2(protocodec.Name))
	r.Know(nil)
	NewKV(reg, nil)
	NewLease(reg, nil)
	NewHealth(reg)
	return families(t, NewGatherer(reg, fixed(f)))
}

func families(t *testing.T, g prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]*dto.MetricFamily{}
	for i, f := range all {
		if i > 0 && all[i-1].GetName() >= f.GetName() {
			t.Errorf("%s comes after %s", f.GetName(), all[i-1].GetName())
		}
		m[f.GetName()] = f
	}
	return m
}

// The table has every family of a real etcd, with its type (I1).
func TestTableHasEtcdsFamilies(t *testing.T) {
	rows := map[string]Row{}
	for _, r := range Table() {
		if _, twice := rows[r.Name]; twice {
			t.Errorf("%s is there twice", r.Name)
		}
		rows[r.Name] = r
		if r.State != Real && r.Note == "" {
			t.Errorf("%s is %s and does not say why", r.Name, r.State)
		}
		if r.State != Absent && r.Help == "" {
			t.Errorf("%s has no help", r.Name)
		}
		if r.State == Zero && r.read == nil {
			t.Errorf("%s is zero and nothing shows it", r.Name)
		}
	}
	b, err := os.ReadFile("testdata/etcd_families.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		n++
		r, ok := rows[f[0]]
		switch {
		case !ok:
			t.Errorf("%s of etcd is not in the table", f[0])
		case string(r.Type) != f[1]:
			t.Errorf("%s is a %s, in etcd a %s", f[0], r.Type, f[1])
		case r.State == Absent:
			t.Errorf("%s is always there in etcd", f[0])
		}
	}
	if n < 90 {
		t.Fatalf("only %d families read", n)
	}
}

// What is zero is there, as is what is counted here; every family has its row's
// type.
func TestEveryRowHasItsType(t *testing.T) {
	got := gathered(t, Facts{ID: 7, Leader: 7, Peers: []Peer{{ID: 7}, {ID: 8, Up: true}}})
	for _, r := range Table() {
		f := got[r.Name]
		if f == nil {
			if r.State == Zero {
				t.Errorf("%s is not there", r.Name)
			}
			continue
		}
		if want := strings.ToUpper(string(r.Type)); f.GetType().String() != want {
			t.Errorf("%s is a %s, want %s", r.Name, f.GetType(), want)
		}
		if r.State == Absent {
			t.Errorf("%s is there", r.Name)
		}
	}
}

func TestFactsBecomeEtcdsValues(t *testing.T) {
	got := gathered(t, Facts{
		ID: 0xa, Leader: 0xb, LeaderChanges: 3, SizeBytes: 10, QuotaBytes: 20, Revision: 5, Compacted: -1, Learner: true,
		Alarms:        []Alarm{{Member: 0xc, Kind: "NOSPACE"}},
		ServerVersion: "3.7.3", Cluster: "3.7", Peers: []Peer{{ID: 0xa}, {ID: 0xb, Up: true}, {ID: 0xc}},
	})
	for name, want := range map[string]float64{
		"etcd_server_has_leader": 1, "etcd_server_is_leader": 0, "etcd_server_is_learner": 1,
		"etcd_server_leader_changes_seen_total": 3, "etcd_mvcc_db_total_size_in_bytes": 10,
		"etcd_server_quota_backend_bytes": 20, "etcd_debugging_mvcc_current_revision": 5, "etcd_debugging_mvcc_compact_revision": -1,
	} {
		if v := value(got[name].Metric[0]); v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	var peers []string
	for _, m := range got["etcd_network_active_peers"].Metric {
		peers = append(peers, m.Label[0].GetName(), m.Label[0].GetValue(), m.Label[1].GetName(), m.Label[1].GetValue())
		if want := m.Label[1].GetValue() == "b"; (value(m) == 1) != want {
			t.Errorf("peer %s is %v", m.Label[1].GetValue(), value(m))
		}
	}
	if s := strings.Join(peers, " "); s != "Local a Remote b Local a Remote c" {
		t.Errorf("active peers %s", s)
	}
	if l := got["etcd_debugging_server_alarms"].Metric[0].Label; l[0].GetValue() != "NOSPACE" || l[1].GetName() != "server_id" || l[1].GetValue() != "c" {
		t.Errorf("alarm %v", l)
	}
	if l := got["etcd_server_id"].Metric[0].Label[0]; l.GetName() != "server_id" || l.GetValue() != "a" {
		t.Errorf("server_id is %v", l)
	}
}

// Gates say what is in force: those that a flag switches follow it.
func TestGatesFollowTheNode(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		on := map[string]bool{}
		for _, m := range gathered(t, Facts{LeaseCheckpoint: checkpoint})["etcd_server_feature_enabled"].Metric {
			on[m.Label[0].GetValue()] = value(m) == 1
		}
		for name, want := range map[string]bool{
			"LeaseCheckpoint": checkpoint, "LeaseCheckpointPersist": checkpoint,
			"FastLeaseKeepAlive": true, "CompactHashCheck": false,
		} {
			if got, there := on[name]; !there || got != want {
				t.Errorf("LeaseCheckpoint %t: %s is %t, there %t", checkpoint, name, got, there)
			}
		}
	}
}

// Labels of ours get etcd's names, and what they do not name is left out.
func TestOursIsShownUnderEtcdsLabels(t *testing.T) {
	reg := prometheus.NewRegistry()
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pontoon_raft_send_failures_total"}, []string{"to"})
	reg.MustRegister(v)
	v.WithLabelValues("b").Add(4)
	f := families(t, NewGatherer(reg, fixed{}))["etcd_network_peer_sent_failures_total"]
	if f == nil || len(f.Metric) != 1 || f.Metric[0].Label[0].GetName() != "To" || f.Metric[0].GetCounter().GetValue() != 4 {
		t.Fatalf("got %v", f)
	}
}
