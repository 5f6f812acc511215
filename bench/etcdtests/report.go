package etcdtests

import (
	"fmt"
	"io"
	"strings"
)

// count is how many tests ended how.
type count struct{ passed, failed, skipped int }

func (c *count) add(o Outcome) {
	switch o {
	case Passed:
		c.passed++
	case Failed:
		c.failed++
	case Skipped:
		c.skipped++
	}
}

func (c count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// Summary is one line of numbers.
func (v *Verdict) Summary() string { return Count(v.Results) }

// WriteReport writes the run as Markdown. It holds no times, so that two runs with the
// same outcomes write the same text.
func (v *Verdict) WriteReport(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# etcd's own tests against Pontoon\n\n" +
		"Written by `make etcd-tests` and `make etcd-integration`: tests from `" + testsModule + "` with Pontoon in the\n" +
		"place of `bin/etcd`, and the real etcdctl and etcdutl. In packages `integration` a server is a process, too, where etcd\n" +
		"has it in the test; what looks into its memory or files is left out. A test counts once for each of its configurations.\n\n")
	fmt.Fprintf(&b, "%s.\n\n", v.Summary())
	b.WriteString("## Not passed\n\n")
	v.writeOthers(&b)
	b.WriteString("\n## All\n\n| package | test | passed | failed | skipped |\n|---|---|---|---|---|\n")
	v.writeAll(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (v *Verdict) writeOthers(b *strings.Builder) {
	b.WriteString("| package | test | outcome | reason |\n|---|---|---|---|\n")
	for i := range v.Results {
		r := &v.Results[i]
		if r.Outcome == Passed {
			continue
		}
		reason := v.Reason(r)
		if reason == "" {
			reason = "**none given**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", r.Package, r.Test, r.Outcome, reason)
	}
}

func (v *Verdict) writeAll(b *strings.Builder) {
	for start := 0; start < len(v.Results); {
		first := &v.Results[start]
		var c count
		end := start
		for end < len(v.Results) && v.Results[end].Package == first.Package && v.Results[end].Top() == first.Top() {
			c.add(v.Results[end].Outcome)
			end++
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d |\n", first.Package, first.Top(), c.passed, c.failed, c.skipped)
		start = end
	}
}

// Count says how many of the results ended how.
func Count(results []Result) string {
	var c count
	for i := range results {
		c.add(results[i].Outcome)
	}
	return c.String()
}
