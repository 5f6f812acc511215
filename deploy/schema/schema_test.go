package schema

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const deploy = "../"

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// expressions are those of deploy/: of the dashboard with its variables filled
// in as Grafana does, and of the rules.
func expressions(t *testing.T) (list []string) {
	t.Helper()
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(read(t, "grafana/pontoon.json"), &board); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$job", "a|b")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			list = append(list, fill.Replace(target.Expr))
		}
	}
	var rules struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	if err := yaml.Unmarshal(read(t, "prometheus/alerts.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			list = append(list, r.Expr)
		}
	}
	return list
}

// Prometheus' own parser takes every expression of the dashboard and the alert
// rules.
func TestPrometheusParsesOurQueries(t *testing.T) {
	p := parser.NewParser(parser.Options{})
	list := expressions(t)
	if len(list) < 40 {
		t.Fatalf("only %d expressions", len(list))
	}
	for _, e := range list {
		if _, err := p.ParseExpr(e); err != nil {
			t.Errorf("%s: %v", e, err)
		}
	}
}

// Kubernetes' own types take the manifests, every field of them.
func TestKubernetesTakesOurManifests(t *testing.T) {
	var kinds []string
	for _, name := range []string{"kubernetes/statefulset.yaml", "kubernetes/static-pod.yaml", "testdata/kubeadm_etcd.yaml"} {
		for part := range strings.SplitSeq(string(read(t, name)), "\n---\n") {
			var head struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal([]byte(part), &head); err != nil {
				t.Fatal(err)
			}
			into := map[string]any{
				"v1 Pod": &corev1.Pod{}, "v1 Service": &corev1.Service{}, "apps/v1 StatefulSet": &appsv1.StatefulSet{},
				"policy/v1 PodDisruptionBudget": &policyv1.PodDisruptionBudget{},
			}[head.APIVersion+" "+head.Kind]
			if into == nil {
				t.Errorf("%s: %s %s is unknown", name, head.APIVersion, head.Kind)
				continue
			}
			if err := yaml.UnmarshalStrict([]byte(part), into); err != nil {
				t.Errorf("%s: %s: %v", name, head.Kind, err)
			}
			kinds = append(kinds, head.Kind)
		}
	}
	if len(kinds) != 7 {
		t.Errorf("manifests of %v", kinds)
	}
}
