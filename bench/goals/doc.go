// Package goals is the one place that says how fast Pontoon has to be: floors
// that must be reached and aims that should be.
//
//	Table ----> Judge(run) --> per goal: measured median over the rounds, verdict
//
// A goal compares a metric of workloads with etcd's in the same rounds, or with
// the same system at rest, or takes a figure of a section of the report.
//
// Invariants:
//
//	I1 A goal over several workloads is met if all of them meet it: the worst
//	   one is shown.
//	I2 What was not measured is not met: it says so.
package goals
