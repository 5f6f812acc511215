package etcdtests

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Kind is why a test cannot pass.
type Kind string

const (
	// Files: the test looks into etcd's own data files, or makes them.
	Files Kind = "files"
	// Logs: the test waits for a line of etcd's own log.
	Logs Kind = "logs"
	// Inside: the test is about a mechanism of etcd that a store of many ranges has not.
	Inside Kind = "inside"
	// Unwritten: etcd has only the name of the test so far.
	Unwritten Kind = "unwritten"
	// Machine: real etcd fails it in the same place too.
	Machine Kind = "machine"
	// Fault: Pontoon should pass and does not.
	Fault Kind = "fault"
)

var kinds = []Kind{Files, Logs, Inside, Unwritten, Machine, Fault}

// Reason is a line of the reasons file: it covers a test and all its subtests.
type Reason struct {
	Package string
	Test    string
	Kind    Kind
	Text    string
}

// Covers says whether the reason is about the test.
func (r *Reason) Covers(pkg, test string) bool {
	return r.Package == pkg && (r.Test == test || strings.HasPrefix(test, r.Test+"/"))
}

// ReadReasons reads lines of `package test kind: text`. Lines that are empty or start
// with # are skipped.
func ReadReasons(in io.Reader) ([]Reason, error) {
	var reasons []Reason
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		head, text, ok := strings.Cut(line, ": ")
		fields := strings.Fields(head)
		if !ok || len(fields) != 3 || strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("line %d: want `package test kind: text`, have %q", n, line)
		}
		if !slices.Contains(kinds, Kind(fields[2])) {
			return nil, fmt.Errorf("line %d: kind %q is none of %v", n, fields[2], kinds)
		}
		reasons = append(reasons, Reason{Package: fields[0], Test: fields[1], Kind: Kind(fields[2]), Text: strings.TrimSpace(text)})
	}
	return reasons, lines.Err()
}
