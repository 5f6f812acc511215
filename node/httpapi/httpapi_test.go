package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

type probe struct {
	noLeader     bool
	linearizable error
	local        error
	alarm        pb.AlarmType
	learner      bool
}

func (p *probe) HasLeader() bool { return !p.noLeader }
func (p *probe) Learner() bool   { return p.learner }
func (p *probe) Alarms() []*pb.AlarmMember {
	if p.alarm == pb.AlarmType_NONE {
		return nil
	}
	return []*pb.AlarmMember{{MemberID: 1, Alarm: p.alarm}}
}

func (p *probe) Read(_ context.Context, serializable bool) error {
	if serializable {
		return p.local
	}
	return p.linearizable
}

// counts remembers what it was told.
type counts []string

func (c *counts) Probed(ok bool) { *c = append(*c, fmt.Sprint("health ", ok)) }
func (c *counts) Checked(kind, name string, ok bool) {
	*c = append(*c, fmt.Sprint(kind, " ", name, " ", ok))
}

func plainAccess() Access {
	return Access{TLS: func(*http.Request) *tls.ConnectionState { return nil }, Logger: slog.New(slog.DiscardHandler)}
}

func handlers(p *probe, access Access, c Counts) Handlers {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "gateway ", r.URL.Path) })
	return New(Options{Probe: p, Counts: c, Gatherer: prometheus.NewRegistry(), Pprof: true, Timeout: time.Second, Gateway: echo, Access: access})
}

func ask(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

func TestPathsAnswerAsEtcd(t *testing.T) {
	x := errors.New("x")
	for _, tc := range []struct {
		name, method, path string
		probe              probe
		code               int
		body               string
	}{
		{"version", "GET", "/version", probe{}, 200, `{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0",`},
		{"version method", "PUT", "/version", probe{}, 405, "Method Not Allowed"},
		{"health", "GET", "/health", probe{}, 200, `{"health":"true","reason":""}`},
		{"health method", "POST", "/health", probe{}, 405, "Method Not Allowed"},
		{"no leader", "GET", "/health", probe{noLeader: true}, 503, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n"},
		{"local health", "GET", "/health?serializable=true", probe{noLeader: true, linearizable: x}, 200, `"true"`},
		{"range error", "GET", "/health", probe{linearizable: rpctypes.ErrGRPCTimeout}, 503, `"RANGE ERROR:etcdserver: request timed out"`},
		{"no space", "GET", "/health?serializable=true", probe{alarm: pb.AlarmType_NOSPACE, noLeader: true}, 503, `"ALARM NOSPACE"`},
		{"corrupt", "GET", "/health?exclude=NOSPACE", probe{alarm: pb.AlarmType_CORRUPT}, 503, `"ALARM CORRUPT"`},
		{"unknown alarm", "GET", "/health", probe{alarm: 9}, 503, `"ALARM UNKNOWN"`},
		{"excluded alarm", "GET", "/health?exclude=X&exclude=NOSPACE", probe{alarm: pb.AlarmType_NOSPACE}, 200, `"true"`},
		{"ready", "GET", "/readyz", probe{alarm: pb.AlarmType_NOSPACE}, 200, "ok\n"},
		{"not ready", "GET", "/readyz", probe{linearizable: x}, 503, "[+]data_corruption ok\n[+]serializable_read ok\n[-]linearizable_read failed: x\n[+]non_learner ok\n"},
		{"corrupt", "GET", "/readyz/data_corruption", probe{alarm: pb.AlarmType_CORRUPT}, 503, "[-]data_corruption failed: alarm activated: CORRUPT\n"},
		{"learner", "GET", "/readyz/non_learner", probe{learner: true}, 503, "[-]non_learner failed: not supported for learner\n"},
		{"excluded", "GET", "/readyz?exclude=linearizable_read&exclude=nothing", probe{linearizable: x}, 200, "ok"},
		{"live", "GET", "/livez?verbose", probe{linearizable: x, alarm: pb.AlarmType_CORRUPT, learner: true}, 200, "[+]serializable_read ok\nok\n"},
		{"live method", "POST", "/livez", probe{}, 405, "Method Not Allowed"},
		{"one check", "GET", "/readyz/linearizable_read", probe{linearizable: x}, 503, "failed"},
		{"no such check", "GET", "/livez/linearizable_read", probe{}, 404, ""},
		{"pprof", "GET", "/debug/pprof/cmdline", probe{}, 200, ""},
		{"metrics", "GET", "/metrics", probe{}, 200, ""},
		{"vars", "GET", "/debug/vars", probe{}, 200, `"memstats": {`},
		{"unknown", "GET", "/nothing", probe{}, 404, ""},
		{"gateway", "POST", "/v3/kv/range", probe{}, 200, "gateway /v3/kv/range"},
		{"old gateway", "POST", "/v3beta/kv/range", probe{}, 200, "gateway /v3/kv/range"},
		{"options", "OPTIONS", "/health", probe{}, 200, ""},
	} {
		w := ask(handlers(&tc.probe, plainAccess(), nil).Client, tc.method, tc.path)
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.body) {
			t.Errorf("%s: %d %q", tc.name, w.Code, w.Body)
		}
	}
}

// The metrics port has metrics and health and nothing else.
func TestMetricsAlone(t *testing.T) {
	h := handlers(&probe{}, plainAccess(), nil).Metrics
	for path, code := range map[string]int{
		"/metrics": 200, "/health": 200, "/livez": 200, "/readyz/non_learner": 200,
		"/version": 404, "/v3/kv/range": 404, "/debug/vars": 404, "/debug/pprof/": 404, "/debug/ranges": 404,
	} {
		if w := ask(h, "GET", path); w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestProbesAreCounted(t *testing.T) {
	var c counts
	h := handlers(&probe{learner: true, noLeader: true}, plainAccess(), &c).Client
	ask(h, "GET", "/health")
	ask(h, "GET", "/livez")
	ask(h, "GET", "/readyz/non_learner")
	if got := strings.Join(c, ", "); got != "health false, livez serializable_read true, readyz non_learner false" {
		t.Error(got)
	}
}

func TestOriginsAndHosts(t *testing.T) {
	access := plainAccess()
	h := handlers(&probe{}, access, nil).Client
	if got := ask(h, "GET", "/health").Header().Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("%q", got)
	}
	access.Origins, access.Hosts = []string{"https://ui"}, []string{"good"}
	h = handlers(&probe{}, access, nil).Client
	for origin, want := range map[string]string{"https://ui": "https://ui", "https://other": "", "": ""} {
		w := ask(h, "GET", "http://good:2379/health", "Origin", origin)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want || w.Code != 200 {
			t.Errorf("%q: %q, %d", origin, got, w.Code)
		}
	}
	if w := ask(h, "GET", "http://evil:2379/health"); w.Code != 421 || !strings.Contains(w.Body.String(), `--host-whitelist "evil"`) {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	access.TLS = func(*http.Request) *tls.ConnectionState { return &tls.ConnectionState{} }
	if w := ask(handlers(&probe{}, access, nil).Client, "GET", "http://evil:2379/health"); w.Code != 200 {
		t.Errorf("an encrypted request: %d", w.Code)
	}
}

// The gateway does not know who shows a certificate, so it does not pretend to.
func TestCertificateUsersHaveNoGateway(t *testing.T) {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}
	users := true
	access := plainAccess()
	access.TLS = func(*http.Request) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}, {cert}}}
	}
	access.CertUsers = func(context.Context) bool { return users }
	h := handlers(&probe{}, access, nil).Client
	if w := ask(h, "POST", "/v3beta/kv/range"); w.Code != 400 || !strings.Contains(w.Body.String(), "CommonName of client") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/health"); w.Code != 200 {
		t.Error(w.Code)
	}
	users = false
	if w := ask(h, "POST", "/v3/kv/range"); w.Code != 200 {
		t.Error(w.Code)
	}
}
