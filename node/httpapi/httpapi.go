// Package httpapi serves the plain HTTP paths of the client port.
//
//	/version  /health  /livez  /readyz  /metrics  /debug/vars  /debug/pprof
//	/debug/ranges  /v3/
//
// Bodies and status codes are etcd's. Readiness asks the node to serve a
// linearizable read; liveness asks only that the process answers.
package httpapi

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pontoon-kv/pontoon/node/version"
)

// Probe is what health is made of.
type Probe interface {
	// HasLeader reports whether the root range's leader is known.
	HasLeader() bool
	// Read serves one read, linearizable or not, or says why it cannot.
	Read(ctx context.Context, serializable bool) error
}

// Counts is told what probes were answered. It must not block.
type Counts interface {
	Probed(ok bool)                     // of /health
	Checked(kind, name string, ok bool) // a check of /livez or /readyz
}

// Options of the handler.
type Options struct {
	Probe    Probe
	Counts   Counts // nil: nobody counts
	Gatherer prometheus.Gatherer
	// Registerer takes the counts of /metrics itself. Nil: nobody counts.
	Registerer prometheus.Registerer
	Pprof      bool
	Timeout    time.Duration // of one probe read
	Gateway    http.Handler  // of /v3/; nil: not served
	Ranges     Ranges        // of /debug/ranges
}

// New returns the handler of all paths.
func New(o Options) http.Handler {
	h := &handler{o}
	mux := http.NewServeMux()
	mux.HandleFunc("/version", h.version)
	mux.HandleFunc("/health", h.health)
	h.checks(mux, "/livez", "serializable_read")
	h.checks(mux, "/readyz", "serializable_read", "linearizable_read")
	mux.Handle("/metrics", h.metrics())
	mux.Handle("/debug/vars", expvar.Handler())
	mux.HandleFunc("/debug/ranges", h.ranges)
	if o.Gateway != nil {
		mux.Handle("/v3/", o.Gateway)
	}
	if o.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

type handler struct {
	Options
}

func (h *handler) metrics() http.Handler {
	scrapes := promhttp.HandlerFor(h.Gatherer, promhttp.HandlerOpts{})
	if h.Registerer == nil {
		return scrapes
	}
	return promhttp.InstrumentMetricHandler(h.Registerer, scrapes)
}

func onlyGet(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		return true
	}
	w.Header().Set("Allow", http.MethodGet)
	http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	return false
}

func (h *handler) version(w http.ResponseWriter, r *http.Request) {
	if !onlyGet(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, map[string]string{
		"etcdserver":  version.Etcd,
		"etcdcluster": version.Cluster,
		"storage":     version.Storage,
		"pontoon":     version.Pontoon,
	})
}

// health is etcd's older probe: 200 with health "true", or 503 and a reason.
func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	if !onlyGet(w, r) {
		return
	}
	serializable := r.URL.Query().Get("serializable") == "true"
	reason := ""
	if !serializable && !h.Probe.HasLeader() {
		reason = "RAFT NO LEADER"
	} else if err := h.read(r.Context(), serializable); err != nil {
		reason = "RANGE ERROR:" + err.Error()
	}
	if h.Counts != nil {
		h.Counts.Probed(reason == "")
	}
	if reason != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	writeJSON(w, struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}{fmt.Sprint(reason == ""), reason})
}

func (h *handler) read(ctx context.Context, serializable bool) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	return h.Probe.Read(ctx, serializable)
}

// checks serves path for all named checks and path/NAME for one, with etcd's
// verbose and exclude parameters.
func (h *handler) checks(mux *http.ServeMux, path string, names ...string) {
	kind := strings.TrimPrefix(path, "/")
	serve := func(w http.ResponseWriter, r *http.Request, names []string) {
		if !onlyGet(w, r) {
			return
		}
		_, verbose := r.URL.Query()["verbose"]
		h.runChecks(w, r, kind, without(names, r.URL.Query()["exclude"]), verbose)
	}
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { serve(w, r, names) })
	for _, name := range names {
		mux.HandleFunc(path+"/"+name, func(w http.ResponseWriter, r *http.Request) { serve(w, r, []string{name}) })
	}
}

func (h *handler) runChecks(w http.ResponseWriter, r *http.Request, kind string, names []string, verbose bool) {
	var lines strings.Builder
	failed := false
	for _, name := range names {
		err := h.read(r.Context(), name == "serializable_read")
		if h.Counts != nil {
			h.Counts.Checked(kind, name, err == nil)
		}
		if err != nil {
			failed = true
			fmt.Fprintf(&lines, "[-]%s failed: %v\n", name, err)
			continue
		}
		fmt.Fprintf(&lines, "[+]%s ok\n", name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case failed:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, lines.String())
	case verbose:
		fmt.Fprintf(w, "%sok\n", lines.String())
	default:
		fmt.Fprint(w, "ok\n")
	}
}

func without(names, excluded []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(excluded, n) })
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(b)
}
