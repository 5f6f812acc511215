// Package api serves the parts of etcd's API that speak of the cluster and the
// node rather than of keys: Cluster and Maintenance.
//
//	gRPC --> Cluster, Maintenance --ports--> sequencer, store, sender
package api
