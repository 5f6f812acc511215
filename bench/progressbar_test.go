package bench

import (
	"strings"
	"testing"
	"time"
)

func TestBar(t *testing.T) {
	var out strings.Builder
	show := ProgressBar(&out)
	for i := range 1000 {
		show("load", i, 1000)
	}
	show("load", 1000, 1000)
	show("load", 1000, 1000)
	show("none", 0, 0)
	if got := out.String(); strings.Count(got, "\n") != 2 || strings.Contains(got, "\r") || !strings.Contains(got, "100% 1000/1000\n") {
		t.Errorf("%q", got)
	}
	out.Reset()
	b := &bar{w: &out, every: time.Nanosecond, begin: "\r"}
	b.show("load", 1, 4)
	b.last = time.Time{}
	b.show("load", 4, 4)
	if got := out.String(); strings.Count(got, "\r") != 2 || strings.Count(got, "\n") != 1 || !strings.Contains(got, "[==========  ") {
		t.Errorf("%q", got)
	}
}
