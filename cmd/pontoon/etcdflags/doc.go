// Package etcdflags is etcd's command line: one table with a row for every
// server flag of etcd 3.7, which says what becomes of it here.
//
//	arguments, ETCD_* ---\
//	                      >--table--> Settings --Check--> node/config, logging
//	--config-file (YAML)-/
//
// A flag is Obeyed, Refused (with the reason, if it asks for something else
// than its default) where obeying would mislead, or Ignored (with one warning)
// where it cannot matter.
//
// I1: a flag that etcd has is in the table, once; docs/compatibility.md is made
// from it. I2: what etcd refuses is refused, with etcd's text. I3: with a
// configuration file, flags and environment do not count.
package etcdflags
