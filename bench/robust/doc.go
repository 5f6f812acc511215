// Package robust proves a cluster correct under faults: clients through
// different gateways, prefix watches over all ranges and leases run while real
// processes are killed, paused, stopped and restarted; then the recorded run is
// judged by package verify.
//
//	nemesis --SIGKILL/SIGSTOP/SIGTERM/split--> [node 1] [node 2] [node 3]
//	                                              ^        ^        ^
//	clients (KV, txns over ranges, leases) -------+--------+--------+
//	watchers (whole, partial, late) --------------+--------+--------+
//	    \------ recorder ------> verify.Check, round by round
//
// What happens meanwhile is the run's mode. In mode net, links between the
// processes are cut or bad (package cut) instead. In mode all, both, and each node's
// disk loses power, is slow, stalls and fills up (package disk), where the machine
// can do that. In mode elastic, nodes join up to six,
// one is killed for good, one is drained and removed, and again, while leaders
// move every second and ranges split, merge and change nodes all the time; a
// Kubernetes-shaped load (package kubeload) runs beside the checked clients. At
// the end of each run the cluster must be whole again, and all replicas of each
// range must have one checksum at one applied index.
//
// A run is a series of rounds on one cluster. A round begins with a read of the
// whole span (its base), ends with everything healed, all leases gone and all
// watches caught up, and is judged alone, which bounds memory and search.
//
// Invariants:
//
//	I1 Everything random comes from the seed; timing does not, so a seed repeats
//	   the choices of a run, not its interleaving.
//	I2 Every value is written once in a run, so a watch event names its writer.
//	I3 A request that was not answered is recorded as unknown; only an error that
//	   etcd defines as a refusal counts as not done.
//	I4 Load is bounded: a run measures correctness, not throughput.
package robust
