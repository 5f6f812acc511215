package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pontoon-kv/pontoon/node/config"
)

// kept is a log that a test reads.
type kept struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (k *kept) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.buf.Write(b)
}

// find returns the lines with a text.
func (k *kept) find(t *testing.T, msg string) (found []map[string]any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for text := range strings.Lines(k.buf.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(text, err)
		}
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	return found
}

// Whoever is refused is logged with etcd's lines, once; a port that is only probed is
// none to warn of. gRPC on a port of its own knows the client's name, too.
func TestRejectedConnections(t *testing.T) {
	a := newAuthority(t)
	for _, cn := range []string{"server", "root", "stranger"} {
		a.issue(cn)
	}
	log := &kept{}
	web := freePorts(t, 1)[0]
	c := layOut(t, 1, func(_ int, cfg *config.Config) {
		a.encrypt(cfg)
		cfg.ListenClientHTTPURLs = []string{"https://" + web}
		cfg.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	nd := c.nodes[0]
	nd.start()
	cli, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + nd.addr}, TLS: a.client("root"), Logger: zap.NewNop(), Context: within(t, 30*time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	ctx := cli.Ctx()
	if _, err := cli.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}

	peer := strings.TrimPrefix(nd.cfg.ListenPeerURLs[0], "https://")
	for _, tc := range []struct {
		line, addr, cn string
		names          int // lines with the certificate's addresses
		want           string
	}{
		{"rejected connection on client endpoint", nd.addr, "", 0, "client didn't provide a certificate"},
		{"rejected connection on client endpoint", web, "", 0, "client didn't provide a certificate"},
		{"rejected connection on peer endpoint", peer, "stranger", 1, "client certificate authentication failed"},
	} {
		before := len(log.find(t, tc.line))
		conn, err := tls.Dial("tcp", tc.addr, a.client(tc.cn))
		if err == nil {
			conn.Read(make([]byte, 1)) // with TLS 1.3 the refusal comes later
			conn.Close()
		}
		wait(t, tc.line, func() bool { return len(log.find(t, tc.line)) > before })
		lines := log.find(t, tc.line)
		last := lines[len(lines)-1]
		if len(lines) != before+1 || last["level"] != "WARN" || last["remote-addr"] == "" || !strings.Contains(last["error"].(string), tc.want) {
			t.Errorf("%s of %q: %v, want %q", tc.line, tc.cn, lines, tc.want)
		}
		if _, ok := last["ip-addresses"]; ok != (tc.names == 1) {
			t.Error(last)
		}
	}
	probe, err := net.Dial("tcp", nd.addr)
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	wait(t, "the probe's line", func() bool {
		for _, line := range log.find(t, "rejected connection on client endpoint") {
			if line["level"] == "DEBUG" {
				return true
			}
		}
		return false
	})
	namedByCertificate(t, ctx, cli)
}

// namedByCertificate has users by common names only.
func namedByCertificate(t *testing.T, ctx context.Context, cli *clientv3.Client) {
	for _, step := range []func() error{
		func() error {
			_, err := cli.UserAddWithOptions(ctx, "root", "", &clientv3.UserAddOptions{NoPassword: true})
			return err
		},
		func() error { _, err := cli.RoleAdd(ctx, "root"); return err },
		func() error { _, err := cli.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := cli.AuthEnable(ctx); return err },
		func() error { _, err := cli.Put(ctx, "k", "by root"); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}
