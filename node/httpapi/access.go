package httpapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Access says who may send requests over HTTP.
type Access struct {
	Origins []string // of browsers; "*" or empty: all
	Hosts   []string // named by requests that are not encrypted; "*" or empty: all
	// TLS returns the state of a request's connection, nil if it is not encrypted.
	TLS func(*http.Request) *tls.ConnectionState
	// CertUsers reports whether gRPC clients are known by the common names of
	// their certificates, which the gateway cannot pass on. It may read the rules.
	CertUsers func(context.Context) bool
	Logger    *slog.Logger
}

// rebinding is etcd's answer to a request for a host that was not expected: a
// browser that was made to ask its own machine.
const rebinding = `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist %q

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`

const (
	gatewayPath    = "/v3/"
	oldGatewayPath = "/v3beta/"
	commonName     = "CommonName of client sending a request against gateway will be ignored and not used as expected"
)

// Guard lets requests through to next as the access rules say, with the headers
// that browsers ask for.
func (a Access) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, old := strings.CutPrefix(r.URL.Path, oldGatewayPath); old {
			r.URL.Path = gatewayPath + rest
		}
		if text, code := a.refuse(r); text != "" {
			http.Error(w, text, code)
			return
		}
		if origin, ok := a.origin(r); ok {
			h := w.Header()
			h.Add("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE")
			h.Add("Access-Control-Allow-Origin", origin)
			h.Add("Access-Control-Allow-Headers", "accept, content-type, authorization")
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse returns the answer to a request that is not let through.
func (a Access) refuse(r *http.Request) (string, int) {
	state := a.TLS(r)
	if state == nil {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !open(a.Hosts) && !slices.Contains(a.Hosts, host) {
			a.Logger.Warn("rejecting HTTP request to prevent DNS rebinding attacks", "host", host)
			return fmt.Sprintf(rebinding, host), http.StatusMisdirectedRequest
		}
		return "", 0
	}
	if strings.HasPrefix(r.URL.Path, gatewayPath) && named(state) && a.CertUsers(r.Context()) {
		return commonName, http.StatusBadRequest
	}
	return "", 0
}

// named reports whether a client showed a certificate with a common name.
func named(state *tls.ConnectionState) bool {
	for _, chain := range state.VerifiedChains {
		if len(chain) > 0 && chain[0].Subject.CommonName != "" {
			return true
		}
	}
	return false
}

// origin is the origin that the answer allows.
func (a Access) origin(r *http.Request) (string, bool) {
	if open(a.Origins) {
		return "*", true
	}
	origin := r.Header.Get("Origin")
	return origin, slices.Contains(a.Origins, origin)
}

// open reports whether a list is none at all.
func open(list []string) bool {
	return len(list) == 0 || slices.Contains(list, "*") || len(list) == 1 && list[0] == ""
}
