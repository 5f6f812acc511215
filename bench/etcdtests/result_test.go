package etcdtests

import (
	"slices"
	"strings"
	"testing"
)

const events = `{"Action":"start"}
{"Action":"run","Test":"TestX"}
{"Action":"run","Test":"TestX/a"}
{"Action":"output","Test":"TestX/a","Output":"hello\n"}
{"Action":"pass","Test":"TestX/a","Elapsed":0.5}
{"Action":"run","Test":"TestX/b"}
{"Action":"run","Test":"TestX/b/deep"}
{"Action":"fail","Test":"TestX/b/deep","Elapsed":1}
{"Action":"fail","Test":"TestX/b","Elapsed":1}
{"Action":"run","Test":"TestX/c"}
{"Action":"output","Test":"TestX/c","Output":"    x_test.go:7: only on Tuesdays\n"}
{"Action":"skip","Test":"TestX/c","Elapsed":0}
{"Action":"fail","Test":"TestX","Elapsed":2}
`

func outcomes(results []Result) (list []string) {
	for _, r := range results {
		list = append(list, r.Test+" "+string(r.Outcome))
	}
	return list
}

func TestLeavesStandForThemselves(t *testing.T) {
	results, err := parse("common", "TestX", strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"TestX/a passed", "TestX/b/deep failed", "TestX/c skipped"}
	if got := outcomes(results); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got := results[2].ownReason(); got != "only on Tuesdays" {
		t.Fatalf("the skipped test said %q", got)
	}
	if results[0].Output != "hello\n" || results[0].Elapsed.Milliseconds() != 500 {
		t.Fatalf("%+v", results[0])
	}
}

// A parent whose subtests pass can fail by itself, as when goroutines are left.
func TestParentFailsByItself(t *testing.T) {
	const events = `{"Action":"run","Test":"TestX/a"}
{"Action":"pass","Test":"TestX/a"}
{"Action":"fail","Test":"TestX"}
`
	results, err := parse("common", "TestX", strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outcomes(results), []string{"TestX failed", "TestX/a passed"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// E3.
func TestNoResultIsFailure_E3(t *testing.T) {
	for name, text := range map[string]string{
		"nothing at all":    "",
		"a deadline passed": "{\"Action\":\"run\",\"Test\":\"TestX\"}\npanic: test timed out after 5m0s\n",
		"cut in a line":     "{\"Action\":\"run\",\"Test\":\"TestX\"}\n{\"Action\":\"pa",
	} {
		results, err := parse("common", "TestX", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := outcomes(results), []string{"TestX failed"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if strings.Contains(text, "panic") && !strings.Contains(results[0].Output, "timed out") {
			t.Errorf("%s: the panic is lost: %q", name, results[0].Output)
		}
	}
}
