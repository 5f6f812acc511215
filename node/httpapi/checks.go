package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// check is one thing that must be right.
type check struct {
	name string
	run  func(context.Context) error
}

// live is what a process must do that need not be restarted.
func (h *handler) live() []check {
	return []check{{"serializable_read", h.reads(true)}}
}

// ready is what a node must do that requests are sent to.
func (h *handler) ready() []check {
	return []check{
		{"data_corruption", h.notCorrupt},
		{"serializable_read", h.reads(true)},
		{"linearizable_read", h.reads(false)},
		{"non_learner", h.notLearner},
	}
}

func (h *handler) reads(serializable bool) func(context.Context) error {
	return func(ctx context.Context) error { return h.read(ctx, serializable) }
}

func (h *handler) notCorrupt(context.Context) error {
	for _, a := range h.Probe.Alarms() {
		if a.Alarm == pb.AlarmType_CORRUPT {
			return fmt.Errorf("alarm activated: %s", a.Alarm)
		}
	}
	return nil
}

func (h *handler) notLearner(context.Context) error {
	if h.Probe.Learner() {
		return errors.New("not supported for learner")
	}
	return nil
}

// checks serves /KIND for all checks and /KIND/NAME for one, with etcd's
// verbose and exclude parameters.
func (h *handler) checks(mux *http.ServeMux, kind string, list []check) {
	mux.HandleFunc("/"+kind, func(w http.ResponseWriter, r *http.Request) {
		excluded := r.URL.Query()["exclude"]
		h.runChecks(w, r, kind, slices.DeleteFunc(slices.Clone(list), func(c check) bool { return has(excluded, c.name) }))
	})
	for _, c := range list {
		mux.HandleFunc("/"+kind+"/"+c.name, func(w http.ResponseWriter, r *http.Request) { h.runChecks(w, r, kind, []check{c}) })
	}
}

func (h *handler) runChecks(w http.ResponseWriter, r *http.Request, kind string, list []check) {
	if !onlyGet(w, r) {
		return
	}
	var lines strings.Builder
	failed := false
	for _, c := range list {
		err := c.run(r.Context())
		if h.Counts != nil {
			h.Counts.Checked(kind, c.name, err == nil)
		}
		if err != nil {
			failed = true
			fmt.Fprintf(&lines, "[-]%s failed: %s\n", c.name, plain(err))
			continue
		}
		fmt.Fprintf(&lines, "[+]%s ok\n", c.name)
	}
	if failed {
		http.Error(w, lines.String(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, verbose := r.URL.Query()["verbose"]; verbose {
		fmt.Fprint(w, lines.String())
	}
	fmt.Fprint(w, "ok\n")
}

func has(list []string, s string) bool { return slices.Contains(list, s) }
