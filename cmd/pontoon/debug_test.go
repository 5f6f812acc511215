package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/node/offline"
)

// The verbs for a stopped node refuse a running one, show what is there, find
// damage, and a start on it is refused with the file, the remedy and an exit code.
func TestDebug(t *testing.T) {
	dir := t.TempDir()
	p := startNode(t, dir, nil)
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{p.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	for i := range 20 {
		if _, err := cli.Put(within(t), fmt.Sprint("k", i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	for _, verb := range []string{"inspect", "verify", "unsafe-recover"} {
		args := []string{"debug", verb}
		if verb == "unsafe-recover" {
			fails(t, "lost", "debug", verb, "--data-dir", data)
			args = append(args, "--lost", "n2")
		}
		fails(t, "data-dir", args...)
		fails(t, "in use", append(args, "--data-dir", data)...)
		fails(t, "not the data directory of a node", append(args, "--data-dir", t.TempDir())...)
	}
	if code := p.terminate(); code != 0 {
		t.Fatal("exit code ", code)
	}

	stdout, stderr, code := pontoon(t, "debug", "inspect", "--data-dir", data, "--output", "json")
	var in offline.Inspection
	if err := json.Unmarshal([]byte(stdout), &in); err != nil || code != 0 || len(in.Ranges) != 3 || in.Disk.Logs == 0 || in.Ranges[2].Applied == 0 {
		t.Fatalf("%s %s %d %v", stdout, stderr, code, err)
	}
	stdout, _, code = pontoon(t, "debug", "inspect", "--data-dir", data)
	if code != 0 || !strings.Contains(stdout, "REPLICAS") {
		t.Errorf("%s %d", stdout, code)
	}
	var v offline.Verification
	stdout, stderr, code = pontoon(t, "debug", "verify", "--data-dir", data, "--output", "json")
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 0 || len(v.Damage) != 0 || v.Ranges[2].Keys != 20 {
		t.Fatalf("%s %s %d %v", stdout, stderr, code, err)
	}
	_, stderr, code = pontoon(t, "debug", "unsafe-recover", "--data-dir", data, "--lost", "n2")
	if code != 1 || !strings.Contains(stderr, `no node "n2"`) || !strings.Contains(stderr, "BREAKS PROMISES") {
		t.Errorf("%s %d", stderr, code)
	}
	fails(t, "not lost", "debug", "unsafe-recover", "--data-dir", data, "--lost", in.Name)

	manifests, err := filepath.Glob(filepath.Join(data, "engine", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(manifests, err)
	}
	file := manifests[len(manifests)-1]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code = pontoon(t, "debug", "verify", "--data-dir", data)
	if code != 1 || !strings.Contains(stdout, filepath.Base(file)) || !strings.Contains(stderr, "is damaged") {
		t.Errorf("%s %s %d", stdout, stderr, code)
	}
	addr := freeAddr(t)
	_, stderr, code = pontoon(t, "start", "--data-dir", data, "--listen-client-urls=http://"+addr, "--advertise-client-urls=http://"+addr,
		"--listen-peer-urls=http://"+freeAddr(t))
	if code != 1 || !strings.Contains(stderr, filepath.Base(file)) || !strings.Contains(stderr, "node remove") {
		t.Errorf("%s %d", stderr, code)
	}
}
