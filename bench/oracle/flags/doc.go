// Package flags holds the list of etcd's flags that Pontoon's table is tested
// against to what the real binary says.
package flags
