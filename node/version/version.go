// Package version holds the two versions a node reports: Pontoon's own, and
// the etcd version whose API it serves. Clients gate features on the latter
// (Kubernetes: watch progress requests), so Status must carry it.
package version

import "runtime/debug"

// Pontoon is this build's version.
const Pontoon = "0.1.0"

// Etcd is the etcd release whose API is served, Cluster and Storage what a
// settled cluster of that release reports beside it.
const (
	Etcd    = "3.7.3"
	Cluster = "3.7.0"
	Storage = "3.7.0"
)

// Commit returns the revision the binary was built from, "unknown" when the
// build did not stamp it.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
