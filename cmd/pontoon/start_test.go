package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/cmd/pontoon/etcdflags"
	"github.com/pontoon-kv/pontoon/node/config"
)

// A flag beats PONTOON_*, which beats ETCD_*, which beats the default.
func TestEnvironment(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"default", nil, nil, config.DefaultName},
		{"etcd's", nil, map[string]string{"ETCD_NAME": "e"}, "e"},
		{"ours first", nil, map[string]string{"ETCD_NAME": "e", "PONTOON_NAME": "p"}, "p"},
		{"flag first", []string{"--name=f"}, map[string]string{"ETCD_NAME": "e", "PONTOON_NAME": "p"}, "f"},
		{"empty is unset", nil, map[string]string{"ETCD_NAME": "e", "PONTOON_NAME": ""}, "e"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			settings := etcdflags.Bind(etcdflags.Pontoon())
			cfg := &settings.Node
			flags := pflag.NewFlagSet("start", pflag.ContinueOnError)
			startFlags(flags, settings)
			if err := flags.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			if err := fromEnvironment(flags); err != nil || cfg.Name != tc.want {
				t.Errorf("name %q, %v; want %q", cfg.Name, err, tc.want)
			}
		})
	}
}

func TestEnvironmentOfLists(t *testing.T) {
	t.Setenv("ETCD_LISTEN_CLIENT_URLS", "http://127.0.0.1:1,http://127.0.0.1:2")
	t.Setenv("PONTOON_MAX_TXN_OPS", "7")
	settings := etcdflags.Bind(etcdflags.Pontoon())
	cfg := &settings.Node
	flags := pflag.NewFlagSet("start", pflag.ContinueOnError)
	startFlags(flags, settings)
	if err := fromEnvironment(flags); err != nil || len(cfg.ListenClientURLs) != 2 || cfg.MaxTxnOps != 7 {
		t.Error(cfg.ListenClientURLs, cfg.MaxTxnOps, err)
	}
}

// What cannot be meant is refused with a message and an exit code, before
// anything is written.
func TestStartRefuses(t *testing.T) {
	t.Parallel()
	taken := freeAddr(t)
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"unknown flag: --nmae", []string{"--nmae=x"}},
		{`invalid argument "x" for "--max-txn-ops"`, []string{"--max-txn-ops=x"}},
		{"--advertise-client-urls is required", []string{"--listen-client-urls=http://" + taken}},
		{"at least as 5 times", []string{"--heartbeat-interval=500", "--election-timeout=1000"}},
		{`invalid argument "old" for "--initial-cluster-state"`, []string{"--initial-cluster-state=old"}},
		{"couldn't find local name", []string{"--name=b", "--initial-cluster=a=http://localhost:2380"}},
		{"missing from --initial-advertise-peer-urls", []string{"--name=a", "--initial-cluster=a=http://localhost:1", "--initial-advertise-peer-urls=http://localhost:2"}},
		{"is given to both", []string{"--name=a", "--initial-cluster=a=http://localhost:2380,b=http://localhost:2380"}},
		{"TLS key/cert must be provided for a URL with HTTPS scheme", []string{"--listen-peer-urls=https://127.0.0.1:2380"}},
		{"--log-level must be", []string{"--log-level=loud"}},
		{"--name must not be empty", []string{"--name="}},
		{`unknown command "extra"`, []string{"extra"}},
	} {
		args := append([]string{"start"}, tc.args...)
		if !strings.Contains(strings.Join(tc.args, " "), "listen-client-urls") {
			args = append(args, "--listen-client-urls=http://"+taken, "--advertise-client-urls=http://"+taken)
		}
		fails(t, tc.want, args...)
	}
	_, stderr, code := pontoonEnv(t, []string{"ETCD_MAX_TXN_OPS=many"}, "start")
	if code == 0 || !strings.Contains(stderr, `invalid value "many" for ETCD_MAX_TXN_OPS`) {
		t.Errorf("%d %s", code, stderr)
	}
}

// SIGTERM ends a node with code 0; another start on its data goes on with the
// next revision (P6), and a second one beside it is refused.
func TestStartAndTerminate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	last := int64(0)
	for range 2 {
		p := startNode(t, dir, []string{"ETCD_NAME=solo"})
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{p.addr}})
		if err != nil {
			t.Fatal(err)
		}
		put, err := client.Put(within(t), "k", "v")
		if err != nil {
			t.Fatal(err)
		}
		if last > 0 && put.Header.Revision != last+1 {
			t.Errorf("revision %d after a clean stop at %d", put.Header.Revision, last)
		}
		last = put.Header.Revision
		members, err := client.MemberList(within(t))
		if err != nil || members.Members[0].Name != "solo" {
			t.Errorf("%v, %v", members, err)
		}
		other := freeAddr(t)
		fails(t, "in use", "start", "--data-dir="+filepath.Join(dir, "data"),
			"--listen-client-urls=http://"+other, "--advertise-client-urls=http://"+other, "--listen-peer-urls=http://"+freeAddr(t))
		fails(t, "address already in use", "start", "--listen-client-urls=http://"+p.addr, "--advertise-client-urls=http://"+p.addr,
			"--listen-peer-urls=http://"+freeAddr(t))
		client.Close()
		if code := p.terminate(); code != 0 {
			b, _ := os.ReadFile(p.log)
			t.Errorf("exit code %d\n%s", code, b)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	text, _, code := pontoon(t, "version")
	if code != 0 || !strings.Contains(text, "etcd API: 3.7") {
		t.Error(text, code)
	}
	asJSON, _, code := pontoon(t, "version", "--output=json")
	if code != 0 || !strings.Contains(asJSON, `"etcd_api": "3.7`) {
		t.Error(asJSON, code)
	}
	fails(t, `unknown command "nonsense"`, "nonsense")
}
