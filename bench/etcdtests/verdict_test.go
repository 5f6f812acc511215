package etcdtests

import (
	"slices"
	"strings"
	"testing"
)

func reasonsOf(t *testing.T, text string) []Reason {
	t.Helper()
	reasons, err := ReadReasons(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return reasons
}

func TestReasons(t *testing.T) {
	got := reasonsOf(t, "# a comment\n\ncommon TestX/a files: reads the file db\n")
	want := []Reason{{Package: "common", Test: "TestX/a", Kind: Files, Text: "reads the file db"}}
	if !slices.Equal(got, want) {
		t.Fatalf("got %+v", got)
	}
	for _, bad := range []string{"common TestX", "common TestX files", "common TestX files: ", "common TestX whim: why", "TestX files: why"} {
		if _, err := ReadReasons(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReasonCoversSubtests(t *testing.T) {
	r := Reason{Package: "common", Test: "TestX/a"}
	for test, want := range map[string]bool{"TestX/a": true, "TestX/a/b": true, "TestX/ab": false, "TestX": false} {
		if got := r.Covers("common", test); got != want {
			t.Errorf("%s: %v", test, got)
		}
	}
	if r.Covers("e2e", "TestX/a") {
		t.Error("covers another package")
	}
}

// E1, E2.
func TestJudge_E1_E2(t *testing.T) {
	results := []Result{
		{Package: "common", Test: "TestPassed", Outcome: Passed},
		{Package: "common", Test: "TestFailed", Outcome: Failed},
		{Package: "common", Test: "TestSkipped", Outcome: Skipped, Output: "    x_test.go:7: needs gofail\n"},
		{Package: "common", Test: "TestSilent", Outcome: Skipped},
	}
	const failed, silent = "common TestFailed files: why\n", "common TestSilent inside: why\n"
	for _, c := range []struct {
		reasons string
		whole   bool
		want    []string
	}{
		{failed + silent, true, nil},
		{silent, true, []string{"common TestFailed failed without a reason"}},
		{failed, true, []string{"common TestSilent skipped without a reason"}},
		{failed + silent + "common TestPassed logs: why\n", true, []string{"common TestPassed passes in spite of its reason"}},
		{failed + silent + "common TestGone logs: why\n", true, []string{"reason for common TestGone: no such test"}},
		{failed + silent + "common TestGone logs: why\n", false, nil},
		{failed + silent + "e2e TestOfAPackageThatDidNotRun logs: why\n", true, nil},
	} {
		v := Judge(results, reasonsOf(t, c.reasons), c.whole)
		if !slices.Equal(v.Errors, c.want) {
			t.Errorf("with %q: got %v, want %v", c.reasons, v.Errors, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	results := []Result{
		{Package: "common", Test: "TestX/a", Outcome: Passed},
		{Package: "common", Test: "TestX/b", Outcome: Failed},
		{Package: "common", Test: "TestY", Outcome: Skipped, Output: "    x_test.go:7: needs gofail\n"},
	}
	var b strings.Builder
	if err := Judge(results, reasonsOf(t, "common TestX/b files: reads db"), true).WriteReport(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1 passed, 1 failed, 1 skipped.",
		"| common | TestX/b | failed | files: reads db |",
		"| common | TestY | skipped | needs gofail |",
		"| common | TestX | 1 | 1 | 0 |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
