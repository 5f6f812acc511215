package etcdtests

import (
	"fmt"
	"slices"
)

// Verdict is the results of a run beside the reasons.
type Verdict struct {
	Results []Result
	reasons []Reason
	// Errors are breaches of E1 and E2.
	Errors []string
}

// Judge holds results against reasons. Only a whole run of a package can tell that a
// line of the reasons is about no test of it at all.
func Judge(results []Result, reasons []Reason, whole bool) *Verdict {
	v := &Verdict{Results: results, reasons: reasons}
	for i := range results {
		r := &results[i]
		_, found := v.lookup(r)
		switch {
		case r.Outcome == Passed && found:
			v.fail("%s %s passes in spite of its reason", r.Package, r.Test)
		case r.Outcome != Passed && v.Reason(r) == "":
			v.fail("%s %s %s without a reason", r.Package, r.Test, r.Outcome)
		}
	}
	for i := range reasons {
		n := &reasons[i]
		ran := slices.ContainsFunc(results, func(r Result) bool { return r.Package == n.Package })
		met := slices.ContainsFunc(results, func(r Result) bool { return n.Covers(r.Package, r.Test) })
		if whole && ran && !met {
			v.fail("reason for %s %s: no such test", n.Package, n.Test)
		}
	}
	return v
}

// Reason is why a test did not pass; empty when nobody says.
func (v *Verdict) Reason(r *Result) string {
	if n, ok := v.lookup(r); ok {
		return fmt.Sprintf("%s: %s", n.Kind, n.Text)
	}
	if r.Outcome == Skipped {
		return r.ownReason()
	}
	return ""
}

func (v *Verdict) lookup(r *Result) (Reason, bool) {
	i := slices.IndexFunc(v.reasons, func(n Reason) bool { return n.Covers(r.Package, r.Test) })
	if i < 0 {
		return Reason{}, false
	}
	return v.reasons[i], true
}

func (v *Verdict) fail(format string, args ...any) {
	v.Errors = append(v.Errors, fmt.Sprintf(format, args...))
}
