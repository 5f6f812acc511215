// Package autocompact decides when the history is compacted by itself, as
// etcd's --auto-compaction-mode and --auto-compaction-retention say.
//
//	driver, on every node --time, newest revision--> Plan --revision--> Compact, beside
//	                                                                   the root range's leader
//
// Every node samples, so that a new leader goes on where the old one was. Plans
// are pure: they take time and revisions and return revisions.
package autocompact
