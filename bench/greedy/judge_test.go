package greedy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/stat"
	"github.com/pontoon-kv/pontoon/bench/vitals"
)

// Each rule is missed by what it is about, and by nothing else.
func TestJudge(t *testing.T) {
	o := &Options{Memory: 1 << 30, MaxP99: 2 * time.Second, MaxRefused: 0.01}
	good := func() *Result {
		return &Result{
			Quiet:  Standing{Outcome: Outcome{Done: stat.Summary{Count: 1000, P99Ms: 20}}},
			Beside: Standing{Outcome: Outcome{Done: stat.Summary{Count: 990, P99Ms: 2000}, Refused: 10}},
			Greedy: Outcome{Refused: 1},
			Vitals: vitals.Vitals{LeaseHeld: true, LeaderChanges: 3},
			Nodes:  Nodes{MemoryPeak: 1<<30 + 4096},
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*Result)
		broken error
		want   []string // what is missed, in parts
	}{
		{"good", func(*Result) {}, nil, nil},
		{"failed beside", func(r *Result) { r.Beside.Failed, r.Beside.Failure = 1, "gone" }, nil, []string{"1 of 1001 requests of bystanders failed beside greedy clients, first: gone"}},
		{"failed alone", func(r *Result) { r.Quiet.Failed = 2 }, nil, []string{"failed alone"}},
		{"refused", func(r *Result) { r.Beside.Refused = 11 }, nil, []string{"11 of 1001"}},
		{"slow", func(r *Result) { r.Beside.Done.P99Ms = 2001 }, nil, []string{"2001 ms"}},
		{"slow alone is no matter", func(r *Result) { r.Quiet.Done.P99Ms = 3000 }, nil, nil},
		{"starved", func(r *Result) { r.Beside = Standing{} }, nil, []string{"no bystander was answered beside"}},
		{"lease", func(r *Result) { r.Vitals.LeaseHeld = false }, nil, []string{"kept alive is gone"}},
		{"killed", func(r *Result) { r.Nodes.OOMKills, r.Nodes.Ended = 1, []string{"n2 ended by itself"} }, nil, []string{"1 processes", "n2 ended"}},
		{"no cap", func(r *Result) { r.Nodes.MemoryPeak += 2 << 20 }, nil, []string{"took 1026 MiB"}},
		{"nothing greedy", func(r *Result) { r.Greedy = Outcome{} }, nil, []string{"0 failed"}},
		{"all greedy failed", func(r *Result) { r.Greedy = Outcome{Failed: 7} }, nil, []string{"7 failed"}},
		{"only unread", func(r *Result) { r.Greedy = Outcome{Unread: 1} }, nil, nil},
		{"broken", func(*Result) {}, errors.New("no admin"), []string{"not measured to its end: no admin"}},
		{"never began", func(r *Result) { *r = Result{} }, errors.New("no port"), []string{"no port"}},
	} {
		r := good()
		tc.change(r)
		r.judge(o, tc.broken)
		fits := slices.EqualFunc(r.Missed, tc.want, strings.Contains)
		if !fits {
			t.Errorf("%s: missed %q, want %q", tc.name, r.Missed, tc.want)
		}
		if err := (&Report{Results: []*Result{good(), r}}).missed(); (err == nil) != (len(tc.want) == 0) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
