package bench_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/bench"
	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/cluster/clustertest"
	"github.com/pontoon-kv/pontoon/bench/kubeload"
)

func command(t *testing.T, name string, args ...string) bench.Command {
	t.Helper()
	for _, c := range bench.Commands() {
		if c.Name == name {
			if err := c.Flags.Parse(args); err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatalf("no command %s", name)
	return bench.Command{}
}

// A load from the command to its JSON report; a second one on the same keys
// says that they are not empty.
func TestLoadCommand(t *testing.T) {
	c := clustertest.Start(t, clustertest.Subject(t), 1)
	args := []string{"--endpoints=" + c.Endpoints()[0], "--objects=100", "--clients=4", "--duration=1s", "--output=json"}
	var out, progress strings.Builder
	if err := command(t, "load", args...).Run(t.Context(), &out, &progress); err != nil {
		t.Fatal(err)
	}
	var rep kubeload.Report
	if err := json.Unmarshal([]byte(out.String()), &rep); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if rep.ObjectsVerified < 100 || len(rep.Violations) > 0 || rep.Phases["1 load"]["create"].Count < 100 {
		t.Errorf("%+v", rep)
	}
	if !strings.Contains(progress.String(), "100%") {
		t.Errorf("no progress bar: %q", progress.String())
	}
	out.Reset()
	err := command(t, "load", "--endpoints="+c.Endpoints()[0], "--objects=100", "--duration=-1s").Run(t.Context(), &out, &progress)
	if err == nil || !strings.Contains(out.String(), "exists before its first create") {
		t.Errorf("a used keyspace was accepted: %v, %s", err, out.String())
	}
}

// A small run of Pontoon alone from the command to its report, which is then
// compared with itself.
func TestRunAndCheckCommands(t *testing.T) {
	b := clustertest.Subject(t)
	if b.Kind != cluster.Pontoon {
		t.Skip("bench run starts Pontoon")
	}
	dir := filepath.Join(t.TempDir(), "report")
	args := []string{"--pontoon=" + b.Path, "--quick", "--alone", "--workloads=put/256B/c1,txn/cross", "--rounds=1", "--cell=200ms", "--warmup=50ms", "--out=" + dir}
	var out, progress strings.Builder
	if err := command(t, "run", args...).Run(t.Context(), &out, &progress); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	md, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil || !strings.Contains(string(md), "| put/256B/c1 | put |") || !strings.Contains(string(md), "| txn/cross/c64 | txn |") {
		t.Errorf("%v, %s", err, md)
	}
	out.Reset()
	if err := command(t, "check", "--before="+dir, "--after="+filepath.Join(dir, "raw.json")).Run(t.Context(), &out, &progress); err != nil || !strings.Contains(out.String(), " 0 changed") {
		t.Errorf("%v, %s", err, out.String())
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := command(t, "render", "--result="+dir, "--out="+again).Run(t.Context(), &out, &progress); err != nil {
		t.Fatal(err)
	}
	if rendered, err := os.ReadFile(filepath.Join(again, "report.md")); err != nil || string(rendered) != string(md) {
		t.Errorf("%v, rendered anew it differs:\n%s", err, rendered)
	}
}

func TestCommandsRefuseBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"load", "--output=xml"}, {"load", "--shape=other"}, {"load", "--page-size=-1"},
		{"robust", "--output=xml"}, {"robust", "--system=other"}, {"robust", "--keys=1"}, {"robust", "--pontoon=/does/not/exist"},
		{"compare", "--output=xml"}, {"compare", "--etcd=/does/not/exist"}, {"compare", "--keys=3"},
		{"progress", "--output=xml"}, {"progress", "--samples=-1"},
		{"run", "--output=xml"}, {"run", "--workloads=nothing", "--alone"}, {"run", "--etcd=/does/not/exist"}, {"run", "--beside-endpoints=x"},
		{"run", "--endpoints=127.0.0.1:1", "--profile=p"}, {"check"}, {"render", "--out=x"}, {"render"}, {"check", "--before=/does/not/exist", "--after=/does/not/exist"},
		{"gaps", "--output=xml"}, {"gaps", "--nodes=1"}, {"robust", "--mode=other"}, {"robust", "--mode=net", "--system=etcd"},
	} {
		var out strings.Builder
		if err := command(t, args[0], args[1:]...).Run(t.Context(), &out, &out); err == nil {
			t.Errorf("%v accepted", args)
		}
	}
	for _, c := range bench.Commands() {
		if c.Name == "compare" && c.Flags.Parse([]string{"--clients=64,x"}) == nil {
			t.Error("--clients=64,x accepted")
		}
	}
}

// The harness is a black box: it imports nothing of the product but the wire
// types of the Admin service, in one place.
func TestImportsNothingOfTheProduct(t *testing.T) {
	const module = "github.com/pontoon-kv/pontoon/"
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && path == "oracle" {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if rest, ours := strings.CutPrefix(imported, module); ours && !(rest == "proto/pontoonpb" && filepath.Dir(path) == "steer") && rest != "bench" && !strings.HasPrefix(rest, "bench/") {
				t.Errorf("%s imports %s", path, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
