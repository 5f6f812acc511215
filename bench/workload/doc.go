// Package workload is the catalogue of what clients do to a cluster while it is
// measured: one small file per workload.
//
//	Catalog --> Group "kv"    same cluster: put/256B/c64, get/linear/c512, ...
//	        --> Group "scan"  same cluster, filled once: range, list, count
//	        --> ...
//	                 each: Fill (once per cluster), then per Workload
//
//	Run: |-- warm-up --|== Meter.Start ==== window ==== Meter.Stop ==| --> Outcome
//
// Clients are closed loops unless a workload says otherwise: each sends its next
// request when the last one was answered. All use the official client and the
// connections of the Target; a workload does not know which system it talks to.
//
// Invariants:
//
//	I1 Same seed, same keys and choices, whatever the system.
//	I2 Every answer is checked for success; one that is wrong ends the run with
//	   an error, one that failed is counted.
//	I3 All keys lie below Prefix, so that a cluster elsewhere can be cleaned.
//	I4 Every load is bounded in time by its window, or in count and by ctx.
//	I5 Keys and values do not compress: neither system gains by it.
package workload
