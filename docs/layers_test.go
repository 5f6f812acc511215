// Package docs holds the tests that keep the documents and the house true:
// import layers, and the table of protocol rules.
package docs

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/pontoon-kv/pontoon/"

// pure are the packages of storage that every layer may import.
var pure = []string{"storage/keys", "storage/etcdop"}

// mayImport lists, for each room, the rooms it may import.
var mayImport = map[string][]string{
	"proto":     {},
	"storage":   {"proto"},
	"rangeraft": {"proto", "storage"},
	"placement": {"proto"},
	"router":    {"proto"},
	"watchmux":  {"proto"},
	"leasesvc":  {"proto"},
	"node":      {"proto", "storage", "rangeraft", "placement", "router", "watchmux", "leasesvc"},
	"bench":     {"proto"},
	"sim":       {"proto", "storage", "placement", "node", "bench"},
	"cmd":       {"proto", "storage", "placement", "node", "bench"},
	"deploy":    {},
	"docs":      {},
}

// only lists dependencies that one room keeps to itself.
var only = map[string]string{
	"github.com/cockroachdb/pebble":   "storage",
	"github.com/hashicorp/memberlist": "placement",
	"github.com/spf13/cobra":          "cmd",
}

func TestImportsFollowTheLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], module)
		room, _, _ := strings.Cut(from, "/")
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("%s: the house has no room %q", from, room)
		}
		for _, imp := range fields[1:] {
			checkImport(t, from, room, allowed, imp)
		}
	}
}

func checkImport(t *testing.T, from, room string, allowed []string, imp string) {
	for dep, owner := range only {
		if strings.HasPrefix(imp, dep) && room != owner {
			t.Errorf("%s imports %s, which belongs to %s", from, imp, owner)
		}
	}
	to, ours := strings.CutPrefix(imp, module)
	if !ours {
		return
	}
	target, _, _ := strings.Cut(to, "/")
	if target == room || contains(allowed, target) || contains(pure, to) {
		return
	}
	t.Errorf("%s imports %s, against the layers", from, to)
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
