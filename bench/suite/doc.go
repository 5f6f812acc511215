// Package suite measures two systems on one machine: the same official client,
// the same workloads, one cluster at a time in turn, rounds interleaved.
//
//	schedule:  group kv    round 1: [subject:  start split fill  put get ... stop]
//	                                [baseline: start       fill  put get ... stop]
//	                       round 2: baseline first, and so on (ABBA)
//	           group scan  (kept)   both start and fill once, then per workload
//	                                subject, baseline, baseline, subject, ...
//	                 |
//	               Stage (cluster, connections, meter) --> workload.Run --> result.Sample
//	then:      Sections: measurements of their own shape, one after the other
//
// A system may also be endpoints elsewhere: then nothing is started and nothing
// of its servers is known.
//
// Invariants:
//
//	I1 Both systems get the same keys, values, clients, connections and times;
//	   only splitting, and dealing out the leaderships, is the subject's own.
//	I2 No other load of this package runs while a workload is measured; in a kept
//	   group the other cluster is up, but nobody asks it anything.
//	I3 A workload whose requests fail by more than the bound, or whose nodes
//	   crash, is a failed sample, not a number; it does not end the run.
//	I4 Profiled passes are extra and their figures are thrown away.
package suite
