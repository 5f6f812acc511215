package flags

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
)

// update writes the list anew: go test ./flags -args -update
var update = flag.Bool("update", false, "write the list of flags")

// list is what Pontoon's table is tested against: a flag and its default in
// every line.
const list = "../../../cmd/pontoon/etcdflags/testdata/etcd_flags.txt"

// gateList is what docs/compatibility.md has of feature gates: a gate and its default in
// every line.
const gateList = "../../../docs/testdata/gates.txt"

var gateLine = regexp.MustCompile(`(?m)^    (\w+)=true\|false \(\w+ - default=(\w+)\)$`)

var helpLine = regexp.MustCompile(`(?m)^  --([a-z0-9-]+)(?: '([^']*)'| (\S+))?$`)

// TestListIsEtcds compares the list with the help of the real binary, and with
// the defaults that it really has.
func TestListIsEtcds(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "etcd")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/etcd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help, err := exec.Command(bin, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	compareGates(t, string(help))
	real := flag.NewFlagSet("etcd", flag.ContinueOnError)
	embed.NewConfig().AddFlags(real)
	var text strings.Builder
	for _, m := range helpLine.FindAllStringSubmatch(string(help), -1) {
		value := m[2] + m[3]
		if f := real.Lookup(m[1]); f != nil {
			value = f.DefValue
		}
		fmt.Fprintf(&text, "%s\t%s\n", m[1], value)
	}
	if *update {
		if err := os.WriteFile(list, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != text.String() {
		t.Errorf("%s is not what etcd says now:\n%s", list, text.String())
	}
	real.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(text.String(), f.Name+"\t") {
			t.Errorf("--%s is not in etcd's help", f.Name)
		}
	})
}

func compareGates(t *testing.T, help string) {
	t.Helper()
	var text strings.Builder
	for _, m := range gateLine.FindAllStringSubmatch(help, -1) {
		fmt.Fprintf(&text, "%s\t%s\n", m[1], m[2])
	}
	if *update {
		if err := os.WriteFile(gateList, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(gateList)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != text.String() || text.Len() == 0 {
		t.Errorf("%s is not what etcd says now:\n%s", gateList, text.String())
	}
}
