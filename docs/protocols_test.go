package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lastRule is the last of the rules. P46 to P48 belong to merges, moves and
// hibernation.
const lastRule = 48

var row = regexp.MustCompile(`^\| (P\d+) \| (.*) \| (.*) \| (.*) \|$`)

// TestEveryRuleNamesItsCodeAndItsTest keeps docs/protocols.md honest: each
// rule has a row, the files named exist and cite the rule, and the tests named
// exist in the files named.
func TestEveryRuleNamesItsCodeAndItsTest(t *testing.T) {
	b, err := os.ReadFile("protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if m := row.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			rows[m[1]] = m[2:]
		}
	}
	for n := 1; n <= lastRule; n++ {
		rule := fmt.Sprintf("P%d", n)
		cells, ok := rows[rule]
		if !ok {
			t.Errorf("%s has no row", rule)
			continue
		}
		if strings.HasPrefix(cells[1], "not yet") {
			continue // the text says what is missing
		}
		checkCode(t, rule, cells[1])
		checkTests(t, rule, cells[2])
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

func checkCode(t *testing.T, rule, cell string) {
	files := quoted.FindAllStringSubmatch(cell, -1)
	if len(files) == 0 {
		t.Errorf("%s names no code", rule)
	}
	for _, f := range files {
		src, err := os.ReadFile(filepath.Join("..", f[1]))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
		} else if !cites(string(src), rule) {
			t.Errorf("%s: %s does not cite it", rule, f[1])
		}
	}
}

// cites reports whether the source names the rule, alone or inside a span
// like "P11 to P16".
func cites(src, rule string) bool {
	if regexp.MustCompile(rule + `\b`).MatchString(src) {
		return true
	}
	var n int
	fmt.Sscanf(rule, "P%d", &n)
	for _, m := range regexp.MustCompile(`P(\d+) to P(\d+)`).FindAllStringSubmatch(src, -1) {
		var lo, hi int
		fmt.Sscan(m[1], &lo)
		fmt.Sscan(m[2], &hi)
		if lo <= n && n <= hi {
			return true
		}
	}
	return false
}

func checkTests(t *testing.T, rule, cell string) {
	tests := quoted.FindAllStringSubmatch(cell, -1)
	if len(tests) == 0 {
		t.Errorf("%s names no test", rule)
	}
	for _, m := range tests {
		dir, name, ok := strings.Cut(m[1], ".")
		if !ok {
			t.Errorf("%s: test %q is not package/dir.TestName", rule, m[1])
			continue
		}
		files, _ := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
		found := false
		for _, f := range files {
			src, _ := os.ReadFile(f)
			found = found || strings.Contains(string(src), "func "+name+"(")
		}
		if !found {
			t.Errorf("%s: no test %s in %s", rule, name, dir)
		}
	}
}
