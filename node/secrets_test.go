package node_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"

	"github.com/pontoon-kv/pontoon/node/config"
)

// logBook keeps what is logged.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Passwords and tokens never come into the log, whatever is logged: every level,
// and every request as if it were a slow one; over gRPC and over JSON.
func TestNoSecretsInTheLog(t *testing.T) {
	t.Parallel()
	book := &logBook{}
	nd := newCluster(t, 1, func(_ int, cfg *config.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.SlowRequest = time.Nanosecond
		cfg.BcryptCost = 4
	}).nodes[0]
	ctx := within(t, 60*time.Second)
	a := pb.NewAuthClient(nd.conn)
	const first, second, wrong = "first-pass-word", "second-pass-word", "wrong-pass-word"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: first})
	must(err)
	_, err = a.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"})
	must(err)
	_, err = a.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
	must(err)
	_, err = a.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: "root", Password: second})
	must(err)
	_, err = a.AuthEnable(ctx, &pb.AuthEnableRequest{})
	must(err)
	if _, err := a.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: wrong}); err == nil {
		t.Fatal("let in with a wrong password")
	}
	login, err := a.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: second})
	must(err)
	with := metadata.AppendToOutgoingContext(ctx, "token", login.Token)
	_, err = nd.kv().Put(with, &pb.PutRequest{Key: []byte("a"), Value: []byte("1")})
	must(err)
	bad := metadata.AppendToOutgoingContext(ctx, "token", login.Token+"x")
	if _, err := nd.kv().Put(bad, &pb.PutRequest{Key: []byte("a")}); err == nil {
		t.Fatal("let in with a wrong token")
	}
	post := func(path, token, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+nd.addr+path, strings.NewReader(body))
		must(err)
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		resp, err := http.DefaultClient.Do(req)
		must(err)
		resp.Body.Close()
	}
	post("/v3/auth/authenticate", "", `{"name":"root","password":"`+second+`"}`)
	post("/v3/auth/authenticate", "", `{"name":"root","password":"`+wrong+`"}`)
	post("/v3/auth/user/add", login.Token, `{"name":"u","password":"`+first+`"}`)
	post("/v3/kv/put", login.Token+"x", `{"key":"YQ==","value":"YQ=="}`)
	nd.stop()
	log := book.text()
	if !strings.Contains(log, "Authenticate") {
		t.Error("requests are not logged, so this proves nothing")
	}
	for name, secret := range map[string]string{"a password": first, "a new password": second, "a wrong password": wrong, "a token": login.Token} {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("%s is in the log: %q", name, log[max(0, at-200):at+len(secret)])
		}
	}
}
