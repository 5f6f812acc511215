package docs

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/cmd/pontoon/etcdflags"
	"github.com/pontoon-kv/pontoon/node/metrics"
	"github.com/pontoon-kv/pontoon/node/version"
)

// update writes compatibility.md: go test ./docs -run TestCompatibility -update
var update = flag.Bool("update", false, "write compatibility.md")

const compatFile = "compatibility.md"

// entry is one thing that etcd has.
type entry struct {
	what  []string // cells
	state string   // yes, differs, no
	note  string   // how it differs, or why it is not there
}

const (
	yes     = "yes"
	differs = "differs"
	no      = "no"
)

// withNote is a row of what is there.
func withNote(note string, what ...string) entry {
	if note == "" {
		return entry{what, yes, ""}
	}
	return entry{what, differs, note}
}

// TestCompatibility makes the document from the tables in the code, from etcd's
// own descriptors and from the answers of a node, and demands that the file says
// the same.
func TestCompatibility(t *testing.T) {
	n := startNode(t)
	services, fields, paths := rpcRows(t, n)
	var b strings.Builder
	fmt.Fprintf(&b, compatHead, version.Etcd)
	write(t, &b, "RPCs", "| RPC | JSON gateway | state | how, or why not |", services)
	write(t, &b, "Request fields", "| message | field | state | how, or why not |", fields)
	write(t, &b, "Answer fields", "| message | field | state | how, or why not |", answerRows(t))
	write(t, &b, "HTTP", "| where | path | state | how, or why not |", append(httpRows(t, n), paths...))
	write(t, &b, "Server flags", "| flag, and `ETCD_*` variable | state | how, or why not |", flagRows())
	write(t, &b, "Feature gates", "| gate | default | state | how, or why not |", gateRows(t))
	write(t, &b, "Metrics", "| family | type | state | how, or why not |", metricRows())
	if *update {
		if err := os.WriteFile(compatFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(compatFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is stale: go test ./docs -run TestCompatibility -update\n%s", compatFile, firstDifference(string(have), b.String()))
	}
}

const compatHead = `# Compatibility with etcd

What etcd %s has, and what becomes of it here. This file is generated and checked by ` + "`docs/compat_test.go`" + `:
RPCs and fields come from etcd's descriptors, and whether an RPC, a path or a field of an answer is there from
the answers of running nodes; flags and metrics come from the tables that the binary itself works by, gates from
what it says when one is switched.

- yes: as in etcd.
- differs: there, with a difference that a user may see.
- no: not there; a request is refused, a flag is refused or has no effect.
`

func write(t *testing.T, b *strings.Builder, title, header string, rows []entry) {
	t.Helper()
	counts := map[string]int{}
	for _, r := range rows {
		counts[r.state]++
		if (r.state == yes) != (r.note == "") {
			t.Errorf("%s: %v: %q with note %q", title, r.what, r.state, r.note)
		}
	}
	fmt.Fprintf(b, "\n## %s\n\n%d rows: %d yes, %d differ, %d no.\n\n%s\n|%s\n", title, len(rows), counts[yes], counts[differs], counts[no],
		header, strings.Repeat("---|", strings.Count(header, "|")-1))
	for _, r := range rows {
		cells := append(slices.Clone(r.what), r.state, strings.ReplaceAll(r.note, "|", "\\|"))
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func firstDifference(have, want string) string {
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range min(len(h), len(w)) {
		if h[i] != w[i] {
			return fmt.Sprintf("line %d has\n%s\nand not\n%s", i+1, h[i], w[i])
		}
	}
	return "one ends before the other"
}

// flagRows are etcd's flags as the command line's own table has them.
func flagRows() (rows []entry) {
	for _, s := range etcdflags.Table() {
		for _, f := range s.Flags {
			name := "`--" + f.Name + "`"
			switch f.Class {
			case etcdflags.Obeyed:
				rows = append(rows, withNote(f.Why, name))
			case etcdflags.Ignored:
				rows = append(rows, entry{[]string{name}, no, "accepted with a warning: " + f.Why})
			case etcdflags.Refused:
				rows = append(rows, entry{[]string{name}, no, "refused: " + f.Why})
			}
		}
	}
	return append(rows, withNote("", "`--config-file`"), withNote("Pontoon's version comes after etcd's", "`--version`"))
}

// gateRows are etcd's feature gates, of the list that bench/oracle/flags compares with
// real etcd's help: what the command line says when one is switched.
func gateRows(t *testing.T) (rows []entry) {
	list, err := os.ReadFile("testdata/gates.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		name, byDefault, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			t.Fatalf("testdata/gates.txt: %q", line)
		}
		value := "true"
		if byDefault == value {
			value = "false"
		}
		args := []string{"--feature-gates=" + name + "=" + value}
		if needed := gateNeeds[name]; needed != "" {
			args[0] += "," + needed
		}
		said, err := etcdflags.Parse(args, nil, io.Discard)
		if err != nil {
			t.Fatal(name, err)
		}
		r := entry{state: yes}
		for _, n := range said.Notes {
			if why, found := strings.CutPrefix(n.Text, "--feature-gates: "+name+" has no effect: "); found {
				r = entry{state: no, note: "accepted with a warning: " + why}
			}
		}
		rows = append(rows, entry{[]string{"`" + name + "`", byDefault}, r.state, r.note})
	}
	return rows
}

// gateNeeds are gates that go with another one only.
var gateNeeds = map[string]string{"LeaseCheckpointPersist": "LeaseCheckpoint=true"}

// metricRows are etcd's families as the node's own table has them.
func metricRows() (rows []entry) {
	for _, m := range metrics.Table() {
		what := []string{"`" + m.Name + "`", string(m.Type)}
		switch m.State {
		case metrics.Real:
			rows = append(rows, withNote(m.Note, what...))
		case metrics.Zero:
			rows = append(rows, entry{what, differs, "always 0: " + m.Note})
		default:
			rows = append(rows, entry{what, no, m.Note})
		}
	}
	return rows
}
