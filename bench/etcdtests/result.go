package etcdtests

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
)

// Outcome is how a test ended.
type Outcome string

const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is the outcome of one test: of a leaf, which is a test without subtests, or of
// a test that failed although none of its subtests did.
type Result struct {
	Package string
	Test    string // with its parents: TestKVPut/NoTLS
	Outcome Outcome
	Elapsed time.Duration
	Output  string // what it printed
}

// Top is the name of the top-level test that the result belongs to.
func (r *Result) Top() string {
	top, _, _ := strings.Cut(r.Test, "/")
	return top
}

// event is a line of test2json.
type event struct {
	Action  string
	Test    string
	Elapsed float64
	Output  string
}

// parse reads the events of a run of one top-level test.
func parse(pkg, top string, events io.Reader) ([]Result, error) {
	byName := make(map[string]*Result)
	var order []string
	var loose strings.Builder // output of no test, as of a crash
	get := func(name string) *Result {
		r := byName[name]
		if r == nil {
			r = &Result{Package: pkg, Test: name, Outcome: Failed}
			byName[name] = r
			order = append(order, name)
		}
		return r
	}
	get(top)
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) > 0 && json.Unmarshal(line, &e) != nil:
			loose.Write(line)
		case e.Test == "":
			loose.WriteString(e.Output)
		default:
			get(e.Test).apply(&e)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	byName[top].Output += loose.String()
	return leaves(byName, order), nil
}

func (r *Result) apply(e *event) {
	switch e.Action {
	case "pass":
		r.Outcome = Passed
	case "fail":
		r.Outcome = Failed
	case "skip":
		r.Outcome = Skipped
	case "output":
		r.Output += e.Output
		return
	default:
		return
	}
	r.Elapsed = time.Duration(e.Elapsed * float64(time.Second))
}

// leaves keeps the results that stand for themselves.
func leaves(byName map[string]*Result, order []string) []Result {
	var kept []Result
	for _, name := range order {
		r := byName[name]
		subtests := slices.DeleteFunc(slices.Clone(order), func(other string) bool {
			return !strings.HasPrefix(other, name+"/")
		})
		explained := slices.ContainsFunc(subtests, func(sub string) bool { return byName[sub].Outcome == Failed })
		if len(subtests) == 0 || r.Outcome == Failed && !explained {
			kept = append(kept, *r)
		}
	}
	return kept
}

// ownReason is what a skipped test said.
func (r *Result) ownReason() string {
	for line := range strings.Lines(r.Output) {
		// A message is printed as "    file_test.go:12: message".
		if _, rest, ok := strings.Cut(line, "_test.go:"); ok {
			if _, message, ok := strings.Cut(rest, ": "); ok {
				return strings.TrimSpace(message)
			}
		}
	}
	return ""
}
