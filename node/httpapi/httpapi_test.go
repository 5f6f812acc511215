package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type probe struct {
	leader       bool
	linearizable error
	local        error
}

func (p *probe) HasLeader() bool { return p.leader }
func (p *probe) Read(_ context.Context, serializable bool) error {
	if serializable {
		return p.local
	}
	return p.linearizable
}

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

func TestPathsAnswerAsEtcd(t *testing.T) {
	p := &probe{leader: true}
	h := New(Options{Probe: p, Gatherer: prometheus.NewRegistry(), Pprof: true, Timeout: time.Second})
	for _, tc := range []struct {
		name, method, path string
		leader             bool
		linearizable       error
		code               int
		body               string
	}{
		{"version", "GET", "/version", true, nil, 200, `"etcdserver":"3.7.3"`},
		{"health", "GET", "/health", true, nil, 200, `{"health":"true","reason":""}`},
		{"health method", "POST", "/health", true, nil, 405, "Method Not Allowed"},
		{"no leader", "GET", "/health", false, nil, 503, "RAFT NO LEADER"},
		{"local health", "GET", "/health?serializable=true", false, nil, 200, `"true"`},
		{"range error", "GET", "/health", true, errors.New("x"), 503, "RANGE ERROR:x"},
		{"ready", "GET", "/readyz", true, nil, 200, "ok\n"},
		{"not ready", "GET", "/readyz", true, errors.New("x"), 503, "[-]linearizable_read failed: x"},
		{"excluded", "GET", "/readyz?exclude=linearizable_read", true, errors.New("x"), 200, "ok"},
		{"live", "GET", "/livez?verbose", true, errors.New("x"), 200, "[+]serializable_read ok"},
		{"one check", "GET", "/readyz/linearizable_read", true, errors.New("x"), 503, "failed"},
		{"pprof", "GET", "/debug/pprof/cmdline", true, nil, 200, ""},
		{"metrics", "GET", "/metrics", true, nil, 200, ""},
		{"vars", "GET", "/debug/vars", true, nil, 200, `"memstats": {`},
		{"unknown", "GET", "/nothing", true, nil, 404, ""},
	} {
		p.leader, p.linearizable = tc.leader, tc.linearizable
		code, body := get(t, h, tc.method, tc.path)
		if code != tc.code || !strings.Contains(body, tc.body) {
			t.Errorf("%s: %d %q", tc.name, code, body)
		}
	}
}
