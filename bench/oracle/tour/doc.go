// Package tour types the commands of docs/tour.md into a shell, against three nodes
// with TLS that the transcript itself starts, and compares what they print.
//
//		docs/tour.md --"$ command"--> one bash --> bin/etcdctl, etcdutl, etcd, pontoon
//		     '---------- the output, normalised, must be equal ----------'
//
//	 1. The transcript is the test's only input: what is in it is typed, in its order.
//	 2. Ports are free ones; the transcript shows those of a usual installation.
//	 3. Ids, terms, sizes, times, leaders differ from run to run and are not compared.
//	 4. A command that fails is followed by its exit code, (exit 1), which is compared: the
//	    transcript says where a command fails on purpose, and no other does.
//	 5. Of `check perf` the throughput must be reached. How long single requests took is the
//	    machine's affair: neither that verdict is compared nor the exit code it makes.
//	 6. Every command has a time limit; what a command started ends with the test.
package tour
