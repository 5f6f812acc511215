// Package require refuses what a node cannot serve now, before any service sees
// it: requests that require a leader while there is none, most requests on a
// learner member, and metadata that is not text.
//
//	client --> interceptors --> services
//	               |
//	               '-- every election timeout: is there a leader? Streams that
//	                   require one end after three times without
//
// Codes, texts and the time are etcd's.
package require
