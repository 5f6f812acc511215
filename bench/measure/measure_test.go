package measure

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/proc"
)

func TestSums(t *testing.T) {
	const text = `# HELP a_total x
a_total{l="1"} 3
a_total{l="2 }"} 4
a_total_more 100
b_count 1e3
`
	got, err := sums(strings.NewReader(text), []string{"a_total", "b_count"})
	if err != nil || got["a_total"] != 7 || got["b_count"] != 1000 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := sums(strings.NewReader(text), []string{"c"}); err == nil {
		t.Error("a metric that is not there became a zero") // I2
	}
}

func TestDifference(t *testing.T) {
	m := NewMeter("etcd", []Server{{}, {}})
	names := Syncs["etcd"]
	metrics := func(v float64) map[string]float64 {
		return map[string]float64{names[0]: v, names[1]: 10 * v, allocated: 100 * v}
	}
	a := reading{
		processes: []proc.Process{{CPU: time.Second, Resident: 1, Written: 10}, {CPU: 2 * time.Second, Resident: 2, Written: 20}},
		self:      proc.Process{CPU: time.Second}, clock: proc.Machine{Total: 10 * time.Second, Idle: 5 * time.Second},
		metrics: []map[string]float64{metrics(1), metrics(2)},
	}
	b := reading{
		processes: []proc.Process{{CPU: 3 * time.Second, Resident: 3, Written: 110}, {CPU: 4 * time.Second, Resident: 4, Written: 220}},
		self:      proc.Process{CPU: 3 * time.Second}, clock: proc.Machine{Total: 20 * time.Second, Idle: 6 * time.Second, Interrupts: time.Second},
		metrics: []map[string]float64{metrics(4), metrics(6)},
	}
	u := m.difference(a, b)
	if u.CPU != 4*time.Second || u.Resident != 7 || u.Written != 300 || u.Syncs != 77 || u.Allocated != 700 {
		t.Errorf("%+v", u)
	}
	if u.Servers != 0.4 || u.Client != 0.2 || u.Others < 0.19 || u.Others > 0.21 {
		t.Errorf("%+v", u)
	}
}

// The meter on this very process: what it burns and writes in between shows.
func TestMeterOnThisProcess(t *testing.T) {
	var syncs float64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		syncs += 5
		_, _ = w.Write([]byte("etcd_disk_wal_fsync_duration_seconds_count 5\ngo_memstats_alloc_bytes_total 7\n"))
	}))
	defer server.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	m := NewMeter("pontoon", []Server{{Pid: os.Getpid(), Endpoint: server.Listener.Addr().String(), Dir: dir}})
	if err := m.Start(t.Context()); err != nil {
		t.Skipf("the OS does not tell: %v", err)
	}
	for began := time.Now(); time.Since(began) < 60*time.Millisecond; {
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := m.Usage()
	if !u.Known || u.CPU <= 0 || u.Resident <= 0 || u.Disk != 5000 || syncs != 10 {
		t.Errorf("%+v", u)
	}
	var none *Meter
	if none.Start(context.Background()) != nil || none.Stop(context.Background()) != nil || none.Usage().Known {
		t.Error("a nil meter measures")
	}
}

func TestMachine(t *testing.T) {
	m := ThisMachine(t.TempDir())
	if m.Cores < 1 || m.OS == "" {
		t.Errorf("%+v", m)
	}
	if field("a : b c\nmodel name\t: X\n", "model name") != "X" {
		t.Error("field of /proc/cpuinfo")
	}
	if _, err := ReadBuild("/does/not/exist", false); err == nil {
		t.Error("a binary that does not exist was read")
	}
}
