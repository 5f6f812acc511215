package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// asEtcd prepares a run of the command under the name etcd.
func asEtcd(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	link := filepath.Join(t.TempDir(), etcdName)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link, args...)
	cmd.Env = append([]string{beCommand + "=1"}, env...)
	cmd.Dir = t.TempDir()
	return cmd
}

func etcdEnds(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := asEtcd(t, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	cmd.Wait()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// What reads etcd's version reads the first line.
func TestEtcdVersion(t *testing.T) {
	t.Parallel()
	out, _, code := etcdEnds(t, nil, "--version")
	first, rest, _ := strings.Cut(out, "\n")
	if code != 0 || !strings.HasPrefix(first, "etcd Version: 3.7.") || !strings.HasPrefix(rest, "Pontoon Version: ") {
		t.Errorf("%d %q", code, out)
	}
}

// Exit codes and texts are etcd's: 2 for a line that cannot be read, 1 for
// settings that cannot be meant.
func TestEtcdRefuses(t *testing.T) {
	t.Parallel()
	etcdDir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(etcdDir, "member", "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{2, "flag provided but not defined: -nmae", []string{"--nmae=x"}},
		{2, `invalid value "x" for flag -max-txn-ops: parse error`, []string{"--max-txn-ops", "x"}},
		{1, `is not a valid flag`, []string{"start"}},
		{1, "--advertise-client-urls is required", []string{"--listen-client-urls=http://127.0.0.1:1"}},
		{1, "at least as 5 times", []string{"--heartbeat-interval=500"}},
		{1, `unknown auto-compaction-mode \"x\"`, []string{"--auto-compaction-mode=x"}},
		{1, "error parsing CompactionRetention", []string{"--auto-compaction-retention=x"}},
		{1, "unknown logger option", []string{"--logger=x"}},
		{1, "expected IP in URL for binding", []string{"--listen-peer-urls=http://:1"}},
		{1, "one of etcd", []string{"--data-dir=" + etcdDir, "--listen-peer-urls=http://127.0.0.1:0", "--listen-client-urls=http://127.0.0.1:0", "--advertise-client-urls=http://127.0.0.1:1"}},
		{1, "every node serves every key", []string{"gateway", "start"}},
		{1, "every node serves every key", []string{"grpc-proxy", "start"}},
	} {
		out, errs, code := etcdEnds(t, nil, tc.args...)
		if code != tc.code || out != "" || !strings.Contains(errs, tc.want) {
			t.Errorf("%q: %d %q %q", tc.args, code, out, errs)
		}
	}
	if out, _, code := etcdEnds(t, nil, "--help"); code != 0 || !strings.Contains(out, "--snapshot-count") {
		t.Errorf("%d %q", code, out)
	}
}

// etcd's own command line starts a node that says when it serves, tells systemd
// so, resumes on its directory, and dies of the signal that ends it.
func TestEtcdServesAndResumes(t *testing.T) {
	t.Parallel()
	client, peer, dir := freeAddr(t), freeAddr(t), t.TempDir()
	for turn := range 2 {
		notified, socket := listenNotify(t)
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := asEtcd(t, []string{"ETCD_UNSUPPORTED_ARCH=amd64", "ETCD_VERIFY=all", "NOTIFY_SOCKET=" + socket},
			"--name", "m0", "--listen-client-urls=http://"+client, "-advertise-client-urls=http://"+client,
			"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls=http://"+peer, "--initial-cluster-token=new",
			"--data-dir="+filepath.Join(dir, "data"), "--snapshot-count=10000", "--initial-cluster-token=new",
			"--initial-cluster=m0=http://"+peer, "--initial-cluster-state=new")
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		if got := notified(); got != "READY=1" {
			t.Fatalf("told systemd %q", got)
		}
		text, err := os.ReadFile(log.Name())
		if err != nil || !bytes.Contains(text, []byte("ready to serve client requests")) {
			t.Errorf("%v\n%s", err, text)
		}
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{client}})
		if err != nil {
			t.Fatal(err)
		}
		put, err := c.Put(within(t), "k", "v")
		if err != nil || put.Header.Revision != int64(turn+2) {
			t.Errorf("turn %d: %v %v", turn, put, err)
		}
		c.Close()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v", cmd.ProcessState)
		}
		log.Close()
	}
}

// listenNotify is a systemd that waits for one message.
func listenNotify(t *testing.T) (wait func() string, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 64)
		n, err := conn.Read(buf)
		if err != nil {
			return err.Error()
		}
		return string(buf[:n])
	}, socket
}
