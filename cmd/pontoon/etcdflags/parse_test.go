package etcdflags

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// derived are flags whose default follows from others: nothing stands for it.
var derived = []string{
	"initial-advertise-peer-urls", // --listen-peer-urls
	"initial-cluster",             // --name and --initial-advertise-peer-urls
	"advertise-client-urls",       // --listen-client-urls
}

// Every flag that etcd's help names is a row, once, with etcd's default (I1).
// bench/oracle/flags holds the list to what etcd says.
func TestTableIsEtcds(t *testing.T) {
	b, err := os.ReadFile("testdata/etcd_flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, def, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		want[name] = def
	}
	if len(want) != 113 {
		t.Fatalf("%d flags in the list", len(want))
	}
	defaults := Etcd()
	for _, s := range Table() {
		for _, f := range s.Flags {
			def, there := want[f.Name]
			delete(want, f.Name)
			if got := f.Make(defaults).String(); !there {
				t.Errorf("--%s: no flag of etcd, or more than one row", f.Name)
			} else if got != def && !slices.Contains(derived, f.Name) {
				t.Errorf("--%s is %q by default, in etcd %q", f.Name, got, def)
			}
			if f.Class != Obeyed && f.Why == "" {
				t.Errorf("--%s: not obeyed, and no reason why", f.Name)
			}
		}
	}
	for f := range want {
		t.Errorf("--%s has no row", f)
	}
	if dir := parse(t, nil).Node.DataDir; dir != "default.etcd" {
		t.Error(dir)
	}
}

func parse(t *testing.T, environ []string, args ...string) *Invocation {
	t.Helper()
	inv, err := Parse(args, environ, io.Discard)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return inv
}

// All forms that Go's flag package has.
func TestForms(t *testing.T) {
	for _, args := range [][]string{
		{"--name=n", "--strict-reconfig-check=false"}, {"--name", "n", "-strict-reconfig-check=false"}, {"-name=n", "--strict-reconfig-check=0"},
	} {
		if inv := parse(t, nil, args...); inv.Node.Name != "n" || inv.Node.StrictReconfigCheck {
			t.Errorf("%q: %+v", args, inv.Node)
		}
	}
}

// What etcd refuses is refused (I2), and so is what would mislead.
func TestRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		`"extra" is not a valid flag`:                      {"extra"},
		"LeaseCheckpointPersist requires enabling":         {"--feature-gates=LeaseCheckpointPersist=true"},
		"--compact-hash-check-time must be >0":             {"--compact-hash-check-time=0s"},
		"--discovery-fallback can't be configured":         {"--discovery-fallback=proxy"},
		"both --discovery-token and --discovery-endpoints": {"--discovery-token=x"},
		"must not contain empty endpoints":                 {"--discovery-token=x", "--discovery-endpoints= ,a"},
		"--wal-dir is not supported":                       {"--wal-dir=/w"},
		"--force-new-cluster is not supported":             {"--force-new-cluster"},
		"no such file":                                     {"--config-file=/does/not/exist"},
	} {
		inv, err := Parse(args, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || inv == nil || errors.As(err, &UsageError{}) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	for want, args := range map[string][]string{
		"flag provided but not defined: -bogus":                                           {"--bogus"},
		`invalid value "x" for flag -max-txn-ops: parse error`:                            {"--max-txn-ops=x"},
		`invalid value "x" for flag -snapshot-count: parse error`:                         {"--snapshot-count=x"},
		`invalid value "4294967296" for flag -max-concurrent-streams: value out of range`: {"--max-concurrent-streams=4294967296"},
		`invalid boolean value "x" for -pre-vote: parse error`:                            {"--pre-vote=x"},
		`invalid value "5" for flag -corrupt-check-time: parse error`:                     {"--corrupt-check-time=5"},
		`URL scheme must be http, https, unix, or unixs: ftp://a:1`:                       {"--listen-client-urls=ftp://a:1"},
		`invalid value "old" for flag -initial-cluster-state: invalid value`:              {"--initial-cluster-state=old"},
		`invalid value "No=true" for flag -feature-gates: unrecognized feature gate: No`:  {"--feature-gates=No=true"},
		`for flag -feature-gates: missing bool value for AllAlpha`:                        {"--feature-gates=AllAlpha"},
		`invalid value of AllBeta=x, err: strconv.ParseBool: parsing "x": invalid syntax`: {"--feature-gates=AllBeta=x"},
		"flag needs an argument: -name":                                                   {"--name"},
	} {
		_, err := Parse(args, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &UsageError{}) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// A flag that has no effect gives one warning; set to its default it gives
// none, and what is refused is not asked for then.
func TestWarnings(t *testing.T) {
	inv := parse(t, nil, "--data-dir=d", "--snapshot-count=7", "--max-wals=5", "--wal-dir=", "--force-new-cluster=false", "--v2-deprecation=write-only",
		"--feature-gates=LeaseCheckpoint=true,CompactHashCheck=true,FastLeaseKeepAlive=true", "--vv")
	want := []string{"flag is no longer supported - ignoring", "--snapshot-count has no effect", "--feature-gates: CompactHashCheck has no effect"}
	if len(inv.Notes) != len(want) {
		t.Fatalf("%+v", inv.Notes)
	}
	for i, n := range inv.Notes {
		if !n.Warning || !strings.HasPrefix(n.Text, want[i]) {
			t.Errorf("%+v, want %q", n, want[i])
		}
	}
	if !inv.Node.LeaseCheckpoint {
		t.Error("no lease checkpoints")
	}
	if got := parse(t, nil, "--data-dir=d", "--feature-gates=AllBeta=false").Notes; len(got) != 2 {
		t.Errorf("two gates are off: %+v", got)
	}
}

func TestEnviron(t *testing.T) {
	inv := parse(t, []string{"ETCD_NAME=e", "ETCD_VERIFY=all", "ETCD_UNSUPPORTED_ARCH=amd64", "OTHER=1"}, "--data-dir=d")
	if inv.Node.Name != "e" || len(inv.Notes) != 2 || inv.Notes[0].Text != "recognized and used environment variable" ||
		inv.Notes[1].Text != "unrecognized environment variable" {
		t.Errorf("%q %+v", inv.Node.Name, inv.Notes)
	}
	for want, environ := range map[string]string{
		`invalid value "many" for ETCD_MAX_TXN_OPS: parse error`: "ETCD_MAX_TXN_OPS=many",
		"is shadowed by corresponding command-line flag":         "ETCD_NAME=e",
	} {
		if _, err := Parse([]string{"--name=n"}, []string{environ}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", environ, err)
		}
	}
}

// What other rooms of the node do is asked for by these.
func TestMaintenanceFlags(t *testing.T) {
	n := parse(t, nil, "--quota-backend-bytes=-1", "--auto-compaction-mode=revision", "--auto-compaction-retention=1000",
		"--corrupt-check-time=1h", "--max-learners=2", "--metrics=extensive").Node
	if n.QuotaBackendBytes != -1 || n.AutoCompactionMode != "revision" || n.AutoCompactionRetention != "1000" ||
		n.CorruptCheckTime != time.Hour || n.MaxLearners != 2 || n.Metrics != "extensive" {
		t.Errorf("%+v", n)
	}
}

func TestTracingNeedsTwoFlags(t *testing.T) {
	if got := parse(t, nil, "--distributed-tracing-address=a:1").Node.Tracing.Endpoint; got != "" {
		t.Error(got)
	}
	inv := parse(t, nil, "--enable-distributed-tracing", "--distributed-tracing-sampling-rate=1000")
	if inv.Node.Tracing.Endpoint != "localhost:4317" || inv.Node.Tracing.Sampled() != 0.001 {
		t.Errorf("%+v", inv.Node.Tracing)
	}
}

// A file sets everything, and then nothing else counts (I3).
func TestFile(t *testing.T) {
	inv := parse(t, []string{"ETCD_MAX_TXN_OPS=9"}, "--name=flag", "--max-txn-ops=7", "--wal-dir=/w", "--force-new-cluster", "--config-file=testdata/etcd.yml")
	n := inv.Node
	if n.Name != "from-file" || n.DataDir != "/var/lib/etcd" || n.HeartbeatInterval != 50*time.Millisecond || n.QuotaBackendBytes != 1<<30 ||
		len(n.ListenPeerURLs) != 2 || n.StrictReconfigCheck || !n.EnablePprof || n.MaxTxnOps != 128 || n.AutoCompactionRetention != "1" ||
		n.WatchProgressNotifyInterval != 10*time.Minute || !n.ReusePort || n.SelfSignedCertValidity != 2 || n.CORS[0] != "*" {
		t.Errorf("%+v", n)
	}
	if c := n.ClientTLS; c.CertFile != "server.crt" || !c.ClientCertAuth || c.TrustedCAFile != "ca.crt" {
		t.Errorf("%+v", c)
	}
	if p := n.PeerTLS; p.CertFile != "peer.crt" || !slices.Equal(p.AllowedCNs, []string{"a", "b"}) {
		t.Errorf("%+v", p)
	}
	if inv.Log.Level != "debug" || !slices.Equal(inv.Log.Outputs, []string{"stderr"}) || len(n.TLSVersions.CipherSuites) != 1 {
		t.Errorf("%+v %+v", inv.Log, n.TLSVersions)
	}
	if len(inv.Notes) != 2 || !strings.Contains(inv.Notes[0].Text, "unrecognized key") || inv.Notes[1].Warning {
		t.Errorf("%+v", inv.Notes)
	}
	if inv := parse(t, []string{"ETCD_CONFIG_FILE=testdata/etcd.yml"}); inv.Node.Name != "from-file" {
		t.Error(inv.Node.Name)
	}
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"heartbeat-interval: fast":            "cannot unmarshal string",
		"heartbeat-interval: -1":              "cannot unmarshal number -1",
		"watch-progress-notify-interval: 10m": "cannot unmarshal string",
		"strict-reconfig-check: maybe":        "cannot unmarshal string",
		"name: [a]":                           "cannot unmarshal array",
		"peer-transport-security: x":          "invalid peer-transport-security",
		"listen-client-urls: localhost":       "URL scheme must be",
		"wal-dir: /w":                         "--wal-dir is not supported",
		"discovery-config: {token: x}":        "both --discovery-token",
		"a: b: c":                             "mapping values",
	} {
		path := filepath.Join(t.TempDir(), "etcd.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse([]string{"--config-file=" + path}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "etcd.yml")
	if err := os.WriteFile(path, []byte("nmae: x\ndata-dir: d"), 0o600); err != nil {
		t.Fatal(err)
	}
	if inv := parse(t, nil, "--config-file", path); len(inv.Notes) != 2 || !strings.Contains(inv.Notes[0].Text, "unrecognized key") {
		t.Errorf("%+v", inv.Notes)
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	Help(&b)
	for _, want := range []string{"--listen-client-urls 'http://localhost:2379'", "--snapshot-count '10000'", "--join", "No effect: "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in the help", want)
		}
	}
	if _, err := Parse([]string{"--help"}, nil, io.Discard); !errors.Is(err, ErrHelp) {
		t.Error(err)
	}
}

// A command line is text from outside: nothing that it may hold ends the
// process.
func FuzzParse(f *testing.F) {
	f.Add("--name=n\x00--initial-cluster=a=b", "ETCD_NAME=x")
	f.Add("--feature-gates=AllAlpha=true", "ETCD_LISTEN_PEER_URLS=unix://x")
	f.Fuzz(func(t *testing.T, args, environ string) {
		if strings.Contains(args+environ, "config") {
			return // files of this machine
		}
		if inv, err := Parse(strings.Split(args, "\x00"), []string{environ}, io.Discard); err == nil && !inv.Version && inv.Node.DataDir == "" {
			t.Error("no data directory")
		}
	})
}
