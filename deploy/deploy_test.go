package deploy_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents parses all documents of a YAML file; a key that is there twice is
// an error.
func documents(t *testing.T, name string) (docs []map[string]any) {
	t.Helper()
	for part := range strings.SplitSeq(read(t, name), "\n---\n") {
		var doc map[string]any
		if err := yaml.UnmarshalStrict([]byte(part), &doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		docs = append(docs, doc)
	}
	return docs
}

// at walks down maps and lists.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func strs(v any) (list []string) {
	l, _ := v.([]any)
	for _, s := range l {
		list = append(list, s.(string))
	}
	return list
}

// binary is PONTOON_BIN, else built as the image's is.
func binary(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("PONTOON_BIN"); bin != "" {
		abs, err := filepath.Abs(bin)
		if err != nil {
			t.Fatal(err)
		}
		return abs
	}
	bin := filepath.Join(t.TempDir(), "pontoon")
	build(t, bin)
	return bin
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// takes reports whether the command's parser takes the arguments; the last one
// makes it end before it does anything.
func takes(bin string, args []string, last string) (bool, string) {
	cmd := exec.Command(bin, append(slices.Clone(args), last)...)
	cmd.Env = []string{"HOME=/nonexistent"}
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

// commands are all command lines that start a node, by where they are.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	compose := documents(t, "compose.yaml")[0]
	for name, s := range compose["services"].(map[string]any) {
		all["compose.yaml "+name] = strs(at(s, "command"))
	}
	for _, doc := range documents(t, "kubernetes/statefulset.yaml") {
		if doc["kind"] == "StatefulSet" {
			all["statefulset.yaml "+at(doc, "metadata", "name").(string)] = strs(at(doc, "spec", "template", "spec", "containers", 0, "command"))
		}
	}
	all["static-pod.yaml"] = strs(at(documents(t, "kubernetes/static-pod.yaml")[0], "spec", "containers", 0, "command"))
	all["Dockerfile"] = dockerfile(t).command(t)
	all["pontoon.service"] = strings.Fields(filepath.Base(unit(t)["Service"]["ExecStart"][0]))
	return all
}

// Every flag that anything here passes is one that the binary takes, under the
// name by which it is started.
func TestFlagsAreTaken(t *testing.T) {
	bin := binary(t)
	asEtcd := filepath.Join(t.TempDir(), "etcd")
	if err := os.Symlink(bin, asEtcd); err != nil {
		t.Fatal(err)
	}
	if ok, out := takes(bin, []string{"start", "--no-such-flag=1"}, "--help"); ok {
		t.Fatalf("a flag that does not exist is taken: %s", out)
	}
	for where, command := range commands(t) {
		t.Run(where, func(t *testing.T) {
			if len(command) < 2 && where != "pontoon.service" {
				t.Fatalf("the command is %q", command)
			}
			last := "--help"
			exe := bin
			if command[0] == "etcd" {
				exe, last = asEtcd, "--version"
			} else if command[0] != "pontoon" || command[1] != "start" {
				t.Fatalf("starts %q", command[:2])
			}
			if ok, out := takes(exe, command[1:], last); !ok {
				t.Errorf("refused: %s", strings.SplitN(out, "\n", 2)[0])
			}
		})
	}
}

// A pod that runs etcd runs Pontoon with another image and nothing else
// changed.
func TestStaticPodDiffersInItsImageOnly(t *testing.T) {
	etcd, ours := documents(t, "testdata/kubeadm_etcd.yaml")[0], documents(t, "kubernetes/static-pod.yaml")[0]
	images := []string{at(etcd, "spec", "containers", 0, "image").(string), at(ours, "spec", "containers", 0, "image").(string)}
	if !strings.Contains(images[0], "/etcd:") || !strings.HasPrefix(images[1], "pontoon") {
		t.Fatalf("images %v", images)
	}
	delete(at(etcd, "spec", "containers", 0).(map[string]any), "image")
	delete(at(ours, "spec", "containers", 0).(map[string]any), "image")
	a, err := yaml.Marshal(etcd)
	if err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(ours)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("they differ in more:\n%s\n---\n%s", a, b)
	}
	if path := at(ours, "spec", "containers", 0, "livenessProbe", "httpGet", "path"); path != "/livez" {
		t.Errorf("liveness is %v", path)
	}
}

// The three nodes of compose are one cluster, each with a port and data of its
// own.
func TestComposeIsOneCluster(t *testing.T) {
	doc := documents(t, "compose.yaml")[0]
	services, volumes := doc["services"].(map[string]any), doc["volumes"].(map[string]any)
	if len(services) != 3 || len(volumes) != 3 {
		t.Fatalf("%d services, %d volumes", len(services), len(volumes))
	}
	published, data := map[string]bool{}, map[string]bool{}
	for name, s := range services {
		if at(s, "image") != "pontoon" || at(s, "build", "dockerfile") != "deploy/Dockerfile" {
			t.Errorf("%s is built from %v", name, s)
		}
		f := flagsOf(strs(at(s, "command")))
		if f["name"] != name || f["initial-advertise-peer-urls"] != "http://"+name+":2380" {
			t.Errorf("%s calls itself %s at %s", name, f["name"], f["initial-advertise-peer-urls"])
		}
		for other := range services {
			if !strings.Contains(f["initial-cluster"], other+"=http://"+other+":2380") {
				t.Errorf("%s does not know %s", name, other)
			}
		}
		published[at(s, "ports", 0).(string)] = true
		volume, path, _ := strings.Cut(at(s, "volumes", 0).(string), ":")
		data[volume] = true
		if _, there := volumes[volume]; !there || path != f["data-dir"] {
			t.Errorf("%s keeps %s in %s, its data is in %s", name, volume, path, f["data-dir"])
		}
	}
	if len(published) != 3 || len(data) != 3 {
		t.Errorf("ports %v, volumes %v", published, data)
	}
}

func flagsOf(command []string) map[string]string {
	f := map[string]string{}
	for _, arg := range command {
		if name, value, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "="); ok {
			f[name] = value
		}
	}
	return f
}

// What the parts of the StatefulSets name is there: services, ports, volumes,
// labels, variables.
func TestStatefulSetsAreConsistent(t *testing.T) {
	docs := documents(t, "kubernetes/statefulset.yaml")
	services := map[string]map[string]any{}
	var sets []map[string]any
	for _, d := range docs {
		switch d["kind"] {
		case "Service":
			services[at(d, "metadata", "name").(string)] = d
		case "StatefulSet":
			sets = append(sets, d)
		}
	}
	if len(sets) != 2 || at(sets[0], "spec", "replicas") != float64(3) {
		t.Fatalf("%d sets, %v founders", len(sets), at(sets[0], "spec", "replicas"))
	}
	for _, set := range sets {
		name, pod := at(set, "metadata", "name"), at(set, "spec", "template", "spec")
		service := at(set, "spec", "serviceName").(string)
		if at(services[service], "spec", "clusterIP") != "None" || at(services[service], "spec", "publishNotReadyAddresses") != true {
			t.Errorf("%v: %s is no headless service of nodes that are not ready", name, service)
		}
		labels := at(set, "spec", "template", "metadata", "labels").(map[string]any)
		if !maps.Equal(labels, at(set, "spec", "selector", "matchLabels").(map[string]any)) {
			t.Errorf("%v selects other pods", name)
		}
		for sn, s := range services {
			for k, v := range at(s, "spec", "selector").(map[string]any) {
				if labels[k] != v {
					t.Errorf("%v is not served by %s", name, sn)
				}
			}
		}
		c := at(pod, "containers", 0)
		ports := map[any]bool{}
		for _, p := range at(c, "ports").([]any) {
			ports[at(p, "name")] = true
		}
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			if !ports[at(c, probe, "httpGet", "port")] {
				t.Errorf("%v: %s asks a port that is not there", name, probe)
			}
		}
		f := flagsOf(strs(at(c, "command")))
		mount := at(c, "volumeMounts", 0)
		if !strings.HasPrefix(f["data-dir"], at(mount, "mountPath").(string)) || at(mount, "name") != at(set, "spec", "volumeClaimTemplates", 0, "metadata", "name") {
			t.Errorf("%v: the data in %s is not on the claimed volume", name, f["data-dir"])
		}
		env := map[string]bool{}
		for _, e := range at(c, "env").([]any) {
			env[at(e, "name").(string)] = true
		}
		for _, v := range regexp.MustCompile(`\$\((\w+)\)`).FindAllStringSubmatch(strings.Join(strs(at(c, "command")), " "), -1) {
			if !env[v[1]] {
				t.Errorf("%v: %s is not set", name, v[0])
			}
		}
		if !strings.Contains(f["initial-advertise-peer-urls"], "."+service+".") {
			t.Errorf("%v advertises %s", name, f["initial-advertise-peer-urls"])
		}
	}
}
