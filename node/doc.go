// Package node builds one Pontoon process out of the rooms, starts it and
// stops it.
//
//	Config --> engine --> store <--> peers
//	             |          |
//	             |    sequencer, its client, directory, gossip
//	             |          |
//	             +--> router, watchmux, leasesvc --> gRPC and HTTP servers
//
// It holds no logic of its own beyond the order of things: what a start builds
// first a stop ends last, and leaderships are handed over before anything
// stops. Sub-packages: config (settings), membership (who belongs to the
// cluster), peers (connections), serve (listeners), api (Cluster and
// Maintenance), admin (the command line's service), httpapi (plain HTTP),
// metrics (etcd's names), backup (Maintenance.Snapshot), etcdfile (its format),
// restore (new clusters from it), tracing.
package node
