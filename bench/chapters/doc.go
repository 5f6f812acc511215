// Package chapters makes measurements that have a command of their own into
// sections of the full report.
//
//	limits    echo server, engine alone, syncs  ──┐
//	scaleout  capped nodes, puts against nodes    ├──> suite.Section: tables, plots,
//	restart   many keys, from kill to first read  │    figures that goals ask for
//	sequencer revisions that one core hands out ──┘
//
// A chapter measures nothing itself: it runs the package of the command, or a
// process of the binary that is measured, and lays out what was found.
package chapters
