package roundtrip

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

// fillSecured writes keys, a lease, a user and a role, and turns authentication on.
func fillSecured(t *testing.T, cli *clientv3.Client) {
	t.Helper()
	ctx := cli.Ctx()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lease, err := cli.Grant(ctx, 900)
	must(err)
	for i := range 500 {
		_, err := cli.Put(ctx, fmt.Sprintf("key%03d", i), strings.Repeat("v", i), clientv3.WithLease(lease.ID*clientv3.LeaseID(i%2)))
		must(err)
	}
	for _, name := range []string{"root", "reader"} {
		_, err := cli.UserAdd(ctx, name, name+"-pw")
		must(err)
		_, err = cli.RoleAdd(ctx, name)
		must(err)
		_, err = cli.UserGrantRole(ctx, name, name)
		must(err)
	}
	_, err = cli.RoleGrantPermission(ctx, "reader", "key", "kez", clientv3.PermissionType(clientv3.PermRead))
	must(err)
	_, err = cli.AuthEnable(ctx)
	must(err)
}

// An etcd that wants certificates and a login is imported with the flags for both; what
// is wrong with them is said, soon, and nothing is written.
func TestImportSecured(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	stranger.issue("admin")
	from, cli := startSecure(t, a)
	fillSecured(t, cli)
	to := newSide(t, cluster.StartPontoon, cluster.Options{Nodes: 3})
	state := filepath.Join(t.TempDir(), "state.json")
	run := func(ca, cert, key, user string) (string, error) {
		args := []string{"import", "--from", from, "--to", strings.Join(to.Endpoints(), ","), "--state", state, "--until-caught-up"}
		for flag, value := range map[string]string{"--from-cacert": ca, "--from-cert": cert, "--from-key": key, "--from-user": user} {
			if value != "" {
				args = append(args, flag, value)
			}
		}
		return cluster.Pontoon(args...)
	}
	ca, cert, key, user := a.certFile("ca"), a.certFile("admin"), a.keyFile("admin"), "root:root-pw"
	for _, tc := range []struct {
		what, ca, cert, key, user, want string
	}{
		{"a CA that did not sign the server", stranger.certFile("ca"), cert, key, user, "certificate signed by unknown authority"},
		{"no CA", "", cert, key, user, "certificate signed by unknown authority"},
		{"a CA file that is not there", filepath.Join(t.TempDir(), "none"), cert, key, user, "no such file"},
		{"a certificate of another CA", ca, stranger.certFile("admin"), stranger.keyFile("admin"), user, "certificate"},
		{"no certificate", ca, "", "", user, "certificate"},
		{"a key of another certificate", ca, cert, stranger.keyFile("admin"), user, "private key does not match"},
		{"a wrong password", ca, cert, key, "root:no", "authentication failed, invalid user ID or password"},
		{"a user who is no administrator", ca, cert, key, "reader:reader-pw", "permission denied"},
		{"a user without a password", ca, cert, key, "root", "not name:password"},
	} {
		began := time.Now()
		out, err := run(tc.ca, tc.cert, tc.key, tc.user)
		t.Logf("%s: %v (%v)", tc.what, err, time.Since(began).Round(time.Millisecond))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %s %v, want %q", tc.what, out, err, tc.want)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: said after %v", tc.what, took)
		}
	}
	if have := to.contents(); have != "" {
		t.Fatalf("a refused import wrote %s", have)
	}
	out, err := run(ca, cert, key, user)
	if err != nil {
		t.Fatal(out, err)
	}
	root := a.login(from, "root", "root-pw")
	if one, two := contentsOf(t, root), to.contents(); one != two || len(one) < 1000 {
		t.Errorf("source\n%s\ntarget\n%s", one, two)
	}
	roles, err := to.auth(to.ctx)
	to.must(err)
	for _, want := range []string{`user root ["root"]`, `user reader ["reader"]`, "role reader [key:\"key\""} {
		if !slices.ContainsFunc(roles, func(r string) bool { return strings.HasPrefix(r, want) }) {
			t.Errorf("%s is not in the target: %q", want, roles)
		}
	}
}

// contentsOf is contents of a side that wants a certificate and a login.
func contentsOf(t *testing.T, cli *clientv3.Client) string {
	t.Helper()
	resp, err := cli.Get(cli.Ctx(), "\x00", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, kv := range resp.Kvs {
		fmt.Fprintf(&b, "%q=%q l%d\n", kv.Key, kv.Value, kv.Lease)
	}
	return b.String()
}
