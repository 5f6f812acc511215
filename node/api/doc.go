// Package api serves the parts of etcd's API that speak of the cluster and the
// node rather than of keys: Cluster.MemberList, Maintenance.Status, Hash and
// HashKV. What a later issue brings (membership change, alarms, backup, auth)
// answers Unimplemented, never a false success.
//
//	gRPC --> Cluster, Maintenance --ports--> sequencer, store, sender
package api
