// Package sidebyside compares two systems on one machine: the same official
// client, the same load, one three-node cluster at a time, rounds interleaved.
//
//	round 1: [baseline: start, fill, put 64, get 64, put 512, get 512, stop]
//	         [subject:  start, split, fill, put 64, ...                stop]
//	round 2: subject first, and so on (ABBA)
//	report:  throughput, p50, p99 per cell; ratio per round; median ratio
//
// Invariants:
//
//	I1 Both systems get the same keys, values, clients, connections and times;
//	   only splitting is the subject's own.
//	I2 Nothing else of this package runs while a cell is measured.
//	I3 A cell with failed requests is an error, not a number.
package sidebyside
