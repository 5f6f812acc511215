package deploy_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/metrics"
)

// queries are all PromQL expressions of the dashboard and the rules.
func queries(t *testing.T) (list []string) {
	t.Helper()
	var board struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/pontoon.json")), &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q is not laid out", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			list = append(list, target.Expr)
		}
	}
	for _, v := range board.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			list = append(list, q["query"].(string))
		}
	}
	names := map[string]bool{}
	for _, group := range documents(t, "prometheus/alerts.yaml")[0]["groups"].([]any) {
		for _, rule := range at(group, "rules").([]any) {
			name := at(rule, "alert").(string)
			if names[name] {
				t.Errorf("%s is there twice", name)
			}
			names[name] = true
			if _, err := time.ParseDuration(at(rule, "for").(string)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if at(rule, "labels", "severity") == nil || at(rule, "annotations", "summary") == nil || at(rule, "annotations", "description") == nil {
				t.Errorf("%s does not say what it is about", name)
			}
			list = append(list, at(rule, "expr").(string))
		}
	}
	if len(list) < 40 {
		t.Fatalf("only %d expressions", len(list))
	}
	return list
}

var metricName = regexp.MustCompile(`\b(etcd|grpc_server|pontoon|process|go)_[a-z0-9_]+\b`)

// Every metric that the dashboard and the rules query is one that a node shows.
func TestQueriedMetricsAreShown(t *testing.T) {
	shown := families(t)
	for _, row := range metrics.Table() {
		if row.State == metrics.Real {
			shown[row.Name] = string(row.Type)
		} else {
			delete(shown, row.Name) // nothing to look at
		}
	}
	shown["pontoon_placement_operators_total"] = "counter" // once an operator ended
	asked := map[string]bool{}
	for _, q := range queries(t) {
		for _, name := range metricName.FindAllString(q, -1) {
			asked[name] = true
		}
	}
	if len(asked) < 30 {
		t.Fatalf("only %d names found", len(asked))
	}
	for name := range asked {
		base, isBucket := strings.CutSuffix(name, "_bucket")
		if isBucket && shown[base] != "histogram" || !isBucket && shown[name] == "" {
			t.Errorf("%s is not shown by a node", name)
		}
		if !isBucket && shown[name] == "histogram" {
			t.Errorf("%s is a histogram", name)
		}
	}
}

// families starts a node and returns what it shows: name and type.
func families(t *testing.T) map[string]string {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	client, peer := freeURL(t), freeURL(t)
	cfg.ListenClientURLs, cfg.AdvertiseClientURLs = []string{client}, []string{client}
	cfg.ListenPeerURLs, cfg.AdvertisePeerURLs = []string{peer}, []string{peer}
	cfg.CacheBytes = 4 << 20
	cfg.Logger = slog.New(slog.DiscardHandler)
	if err := cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	resp, err := http.Get(client + "/metrics") // it waits until the node serves
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			shown[f[2]] = f[3]
		}
	}
	return shown
}

func freeURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
