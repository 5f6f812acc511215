package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Ranges and nodes as people and scripts see them, over one node.
func TestRangesAndNodes(t *testing.T) {
	t.Parallel()
	p := startNode(t, t.TempDir(), nil, "--name=solo")
	at := "--endpoints=" + p.addr
	run := func(args ...string) string {
		t.Helper()
		out, stderr, code := pontoon(t, append(args, at)...)
		if code != 0 || stderr != "" {
			t.Fatalf("pontoon %s: code %d, %s", strings.Join(args, " "), code, stderr)
		}
		return out
	}
	decode := func(out string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
	if out := run("range", "split", "m"); !strings.Contains(out, `range 3 is now user to "m", range 4 "m" to end`) {
		t.Error(out)
	}
	var sides map[string]uint64
	decode(run("range", "split", `"a\x00\xff"`, "--output=json"), &sides)
	if sides["left"] != 3 || sides["right"] != 5 {
		t.Error(sides)
	}
	var ranges []rangeView
	decode(run("range", "list", "-o", "json"), &ranges)
	var bounds []string
	for _, r := range ranges {
		bounds = append(bounds, fmt.Sprint(r.ID, r.Start, r.End))
		if r.Leader == "unknown" || len(r.Replicas) != 1 {
			t.Errorf("%+v", r)
		}
	}
	if got := strings.Join(bounds, " "); got != `1metalease 2leaseuser 3user"a\x00\xff" 5"a\x00\xff""m" 4"m"end` {
		t.Error(got)
	}
	if out := run("range", "list"); !strings.Contains(out, "ID") || !strings.Contains(out, "LEADER") || strings.Count(out, "\n") != 6 {
		t.Error(out)
	}
	resp, err := http.Get("http://" + p.addr + "/debug/ranges")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(page), "5 replicas on this node") || strings.Count(string(page), "leader  solo") != 5 {
		t.Errorf("%s %v", page, err)
	}
	if out := run("range", "show", "4"); !strings.Contains(out, "(leader)") {
		t.Error(out)
	}
	var replicas []rangeView
	decode(run("range", "show", "4", "--output=json"), &replicas)
	if len(replicas) != 1 || replicas[0].ID != 4 || replicas[0].Node != replicas[0].Leader {
		t.Errorf("%+v", replicas)
	}
	if out := run("node", "list"); !strings.Contains(out, "solo") || !strings.Contains(out, p.addr) {
		t.Error(out)
	}
	var nodes []nodeView
	decode(run("node", "list", "-o=json"), &nodes)
	if len(nodes) != 1 || nodes[0].Name != "solo" || nodes[0].State != "live" || nodes[0].Replicas != 5 || nodes[0].Leaders != 5 {
		t.Errorf("%+v", nodes)
	}
	if out := run("placement", "settings", "dead_after_seconds=90s"); !strings.Contains(out, "1m30s") {
		t.Error(out)
	}
	var settings []settingView
	decode(run("placement", "settings", "dead_after_seconds=", "-o=json"), &settings)
	if len(settings) < 11 || settings[2].Value != "5m" {
		t.Errorf("%+v", settings)
	}
	if out := run("range", "transfer-leader", "4", nodes[0].ID); !strings.Contains(out, "range 4 is led by "+nodes[0].ID) {
		t.Error(out)
	}
	// The first endpoint that answers is enough.
	if out, stderr, code := pontoon(t, "node", "list", "--endpoints="+freeAddr(t)+","+p.addr); code != 0 || !strings.Contains(out, "solo") {
		t.Error(code, stderr, out)
	}
	for want, args := range map[string][]string{
		"the key starts a range already":         {"range", "split", "m", at},
		"must not be empty":                      {"range", "split", "", at},
		"is not a quoted key":                    {"range", "split", `"half`, at},
		"accepts 1 arg(s), received 0":           {"range", "split", at},
		"no replica of range 99":                 {"range", "show", "99", at},
		`"x" is not a range id`:                  {"range", "show", "x", at},
		"--output must be table or json":         {"range", "list", "--output=yaml", at},
		`--output must be table or json (set to`: {"node", "list", "-o", "xml", at},
		`no node is called "1234"`:               {"range", "transfer-leader", "4", "1234", at},
		"is on node solo already":                {"range", "move", "4", "--from=solo", "--to=solo", at},
		"solo has a replica of range 4 already":  {"range", "move", "4", "--to=solo", at},
		"holds the last replica of range 4":      {"range", "move", "4", "--from=solo", at},
		"range 1 is the root range":              {"range", "merge", "1", at},
		"range 2 is the last one of the leases":  {"range", "merge", "2", at},
		"it has no right neighbour":              {"range", "merge", "4", at},
		"is even":                                {"placement", "settings", "replication_factor=4", at},
		"there is no such setting":               {"placement", "settings", "colour=red", at},
		`no node is called "zz"; there are solo`: {"range", "transfer-leader", "4", "zz", at},
		"--endpoints must not be empty":          {"range", "list", "--endpoints="},
		"connection refused":                     {"range", "list", "--command-timeout=2s", "--endpoints=" + freeAddr(t)},
		`unknown command "lsit" for "pontoon ra`: {"range", "lsit"},
		`unknown command "sttings"`:              {"placement", "sttings"},
	} {
		fails(t, want, args...)
	}
}
