// Package api serves the parts of etcd's API that speak of the cluster and the
// node rather than of keys: Cluster and Maintenance. What is not built
// (Maintenance.Snapshot) answers Unimplemented, never a false success.
//
//	gRPC --> Cluster, Maintenance --ports--> sequencer, store, sender
package api
