// Package rangetest is a model of a cluster's ranges in memory, for the tests
// of package router and its sub-packages.
//
//	router under test --Transport--> faults --> Cluster: ranges, locks, records,
//	                                              versions, one counter of numbers
//
// It keeps the promises of the protocol in the simplest way, under one mutex,
// and can lose replies, redirect, delay and split. Its history is what tests
// check answers against.
package rangetest
