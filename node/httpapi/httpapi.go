// Package httpapi serves the plain HTTP paths of the client port.
//
//	request --Access.Guard--> /version  /health  /livez  /readyz  /metrics
//	                          /debug/vars  /debug/pprof  /debug/ranges  /v3/
//
// Bodies and status codes are etcd's. Readiness asks the node to serve a
// linearizable read; liveness asks only that the process answers.
package httpapi

import (
	"context"
	"encoding/json"
	"expvar"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/pontoon-kv/pontoon/node/version"
)

// Probe is what health is made of. Only Read may block.
type Probe interface {
	// HasLeader reports whether the root range's leader is known.
	HasLeader() bool
	// Read serves one read, linearizable or not, or says why it cannot.
	Read(ctx context.Context, serializable bool) error
	// Alarms lists the alarms that this node knows of.
	Alarms() []*pb.AlarmMember
	// Learner reports whether this node is a learner member.
	Learner() bool
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
	Access     Access
}

// Handlers are what is served where.
type Handlers struct {
	Client  http.Handler // all paths, guarded
	Metrics http.Handler // metrics and health alone, for --listen-metrics-urls
}

// New returns the handlers.
func New(o Options) Handlers {
	h := &handler{o}
	scrapes := h.metrics()
	metrics := http.NewServeMux()
	h.observed(metrics, scrapes)

	mux := http.NewServeMux()
	h.observed(mux, scrapes)
	mux.HandleFunc("/version", h.version)
	mux.HandleFunc("/debug/vars", h.vars)
	mux.HandleFunc("/debug/ranges", h.ranges)
	if o.Gateway != nil {
		mux.Handle(gatewayPath, o.Gateway)
	}
	if o.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return Handlers{Client: o.Access.Guard(mux), Metrics: metrics}
}

type handler struct {
	Options
}

// observed serves what monitoring asks for.
func (h *handler) observed(mux *http.ServeMux, scrapes http.Handler) {
	mux.Handle("/metrics", scrapes)
	mux.HandleFunc("/health", h.health)
	h.checks(mux, "livez", h.live())
	h.checks(mux, "readyz", h.ready())
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
	body, err := json.Marshal(struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
		Storage string `json:"storage"`
		Pontoon string `json:"pontoon"`
	}{version.Etcd, version.Cluster, version.Storage, version.Pontoon})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// vars are Go's own variables.
func (h *handler) vars(w http.ResponseWriter, r *http.Request) {
	if onlyGet(w, r) {
		expvar.Handler().ServeHTTP(w, r)
	}
}
