package robust

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pontoon-kv/pontoon/bench/verify"
)

// judge checks the record. The second result is what remains unanswered.
func (r *round) judge(through verify.Revision, stuck []verify.Violation) (*RoundReport, []verify.Operation) {
	run := verify.Run{
		Base: r.base, Key: spanKey, End: spanEnd, Through: through,
		History: append(slices.Clone(r.carried), r.rec.history...), Leases: r.rec.leases,
	}
	for _, w := range r.watchers {
		s, err := w.result()
		if err != nil {
			stuck = append(stuck, verify.Violation{Check: "watch", Detail: err.Error()})
		}
		run.Streams = append(run.Streams, s)
	}
	began := time.Now()
	rep := &RoundReport{
		Round: r.n, Verdict: verify.Check(run, r.opts.SearchLimit),
		Refused: r.rec.refused, FailedReads: r.rec.failed, Leases: len(run.Leases),
		Faults: r.nemesis.faults, LongestStallSeconds: r.rec.stall.Seconds(), CheckSeconds: time.Since(began).Seconds(),
	}
	rep.Violations = append(stuck, rep.Violations...)
	if !rep.OK() {
		rep.HistoryFile = filepath.Join(r.c.Dir(), fmt.Sprintf("round-%d.json", r.n))
		if err := saveJSON(rep.HistoryFile, run); err != nil {
			rep.HistoryFile = "not saved: " + err.Error()
		}
	}
	var open []verify.Operation
	for _, o := range r.rec.history {
		if o.Outcome == verify.Unknown {
			o.Call, o.Return = 0, 0
			open = append(open, o)
		}
	}
	return rep, open
}

// dump keeps what every node is doing, for a cluster that did not come to rest.
func (r *round) dump() {
	client := &http.Client{Timeout: 5 * time.Second}
	for _, n := range r.c.Nodes() {
		for what, path := range map[string]string{
			"goroutines": "/debug/pprof/goroutine?debug=2",
			"ranges":     "/debug/ranges?limit=1000&format=json",
			"metrics":    "/metrics",
		} {
			file := filepath.Join(r.c.Dir(), fmt.Sprintf("round-%d-%s-%s.txt", r.n, n.Name, what))
			if err := fetch(client, "http://"+n.Endpoint+path, file); err != nil {
				r.opts.Logger.Info("not saved", "file", file, "error", err) // it is down: its log says why
			}
		}
	}
}

// fetch saves a page.
func fetch(client *http.Client, url, file string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, page, 0o644)
}

func saveJSON(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(f).Encode(v); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
