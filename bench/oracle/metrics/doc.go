// Package metrics compares what real etcd and Pontoon show under /metrics after
// the same load: the families, their types and labels, and the counts that must
// be equal. It has tests only.
package metrics
