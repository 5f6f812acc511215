package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/oracle/cluster"
)

// requests are method, path and body. They go to fresh clusters, in order.
var requests = []string{
	"GET /version", "PUT /version", "GET /health", "POST /health", "GET /health?serializable=true", "OPTIONS /health", "HEAD /health",
	"GET /health?exclude=NOSPACE", "GET /livez", "GET /livez?verbose", "POST /livez", "GET /readyz", "GET /readyz?exclude=non_learner",
	"GET /readyz/non_learner?verbose", "GET /readyz/data_corruption", "GET /readyz/nothing", "DELETE /debug/vars", "GET /nothing", "GET /v3",
	"GET /debug/requests", "GET /metrics/", "GET //health",
	"GET /v3/kv/range", "PUT /v3/kv/range", "POST /v3/nothing", "POST /v3/kv/range {",
	`POST /v3/kv/put {"key":"YQ==","value":"Yg=="}`, `POST /v3/kv/range {"key":"YQ=="}`, `POST /v3beta/kv/range {"key":"YQ=="}`,
	`POST /v3/kv/range {"key":"YQ==","rangeEnd":"AA==","unknown":1}`, `POST /v3/kv/range {}`, `POST /v3/kv/range {"key":"YQ==","revision":"99"}`,
	`POST /v3/kv/range {"key":"!!"}`, `POST /v3/kv/txn {"compare":[{"target":"BAD"}]}`, `POST /v3/kv/compaction {"revision":"99"}`,
	`POST /v3/lease/revoke {"ID":"7"}`, `POST /v3/kv/lease/revoke {"ID":7}`, `POST /v3/lease/grant {"TTL":9000000001}`,
	`POST /v3/maintenance/downgrade {}`, `POST /v3/maintenance/alarm {"action":"ACTIVATE","alarm":"NOSPACE"}`, "GET /health", "GET /readyz",
	"GET /health?exclude=NOSPACE", `POST /v3/kv/put {"key":"YQ==","value":"Yg=="}`, `POST /v3/maintenance/alarm {"action":"DEACTIVATE","alarm":"NOSPACE"}`,
	`POST /v3/maintenance/alarm {"action":"ACTIVATE","alarm":"CORRUPT"}`, "GET /health", "GET /readyz?verbose", "GET /readyz/data_corruption",
	`POST /v3/maintenance/alarm {"action":"DEACTIVATE","alarm":"CORRUPT"}`, "GET /health",
	`POST /v3/auth/status {}`, `POST /v3/auth/enable {}`, `POST /v3/auth/user/get {"name":"x"}`,
	`POST /v3/auth/authenticate {"name":"x","password":"y"}`, `POST /v3/cluster/member/promote {"ID":"1"}`,
	`POST /v3/lock/lock {"name":"eA==","lease":"9"}`, `POST /v3/election/leader {"name":"eA=="}`,
}

// What names the cluster, and Pontoon's own version, are not compared.
var (
	named = regexp.MustCompile(`"(cluster_id|member_id|raft_term|leader)":"\d+"`)
	own   = regexp.MustCompile(`,"pontoon":"[0-9.]+"`)
)

// perRequest are headers that differ between two requests to one server.
var perRequest = []string{"Date", "Content-Length"}

func TestSameAnswers(t *testing.T) {
	etcd, err := cluster.StartEtcd(cluster.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	pontoon, err := cluster.StartPontoon(cluster.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer pontoon.Close()
	for _, r := range requests {
		want, got := ask(t, etcd.Endpoints()[0], r), ask(t, pontoon.Endpoints()[0], r)
		if got != want {
			t.Errorf("%s\netcd:\n%s\npontoon:\n%s", r, want, got)
		}
	}
}

// ask returns the answer to a request as text.
func ask(t *testing.T, addr, request string) string {
	t.Helper()
	method, rest, _ := strings.Cut(request, " ")
	path, body, _ := strings.Cut(rest, " ")
	req, err := http.NewRequest(method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for name, values := range resp.Header {
		if !slices.Contains(perRequest, name) && !strings.HasPrefix(name, "Grpc-Metadata-") {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	text := own.ReplaceAllString(named.ReplaceAllString(canonical(b), `"$1":"N"`), "")
	return fmt.Sprintf("%d\n%s\n\n%s", resp.StatusCode, strings.Join(lines, "\n"), text)
}

// canonical takes out the blanks that the JSON and error texts of protobuf vary
// from build to build, and the order of checks, which etcd draws anew each time.
func canonical(body []byte) string {
	text := strings.ReplaceAll(string(body), "\u00a0", " ")
	if strings.HasPrefix(text, "[+]") || strings.HasPrefix(text, "[-]") {
		return sortedChecks(text)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) == nil {
		return compact.String() + strings.Repeat("\n", strings.Count(text, "\n"))
	}
	return text
}

// sortedChecks puts the lines of checks into order; what follows them stays.
func sortedChecks(text string) string {
	lines := strings.SplitAfter(text, "\n")
	n := 0
	for n < len(lines) && (strings.HasPrefix(lines[n], "[+]") || strings.HasPrefix(lines[n], "[-]")) {
		n++
	}
	slices.Sort(lines[:n])
	return strings.Join(lines, "")
}

// A check that differs is a difference, its place is not.
func TestSortedChecks(t *testing.T) {
	a := canonical([]byte("[+]a ok\n[-]b failed: x\n[+]c ok\n\n"))
	if b := canonical([]byte("[+]c ok\n[+]a ok\n[-]b failed: x\n\n")); a != b {
		t.Errorf("%q, %q", a, b)
	}
	for _, other := range []string{"[+]c ok\n[+]a ok\n[-]b failed: y\n\n", "[+]c ok\n[-]b failed: x\n\n", "[+]c ok\n[+]a ok\n[-]b failed: x\n"} {
		if canonical([]byte(other)) == a {
			t.Errorf("%q is the same", other)
		}
	}
}
