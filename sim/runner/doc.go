// Package runner builds the simulation and runs seeds of it, each in a process of
// its own.
//
//	package sim --go test -c -tags simulated--> sim.test --> seed 1
//	                                                    \--> seed 2 ...
//
// A process runs one seed: what a process has once, as its source of randomness,
// is that of the seed. It is built with a tag, since it reaches into the Go runtime
// (sim/virtual.go), which nothing else may.
//
// Invariants:
//
//	I1 A seed decides what is done to the cluster and when. It does not decide how
//	   goroutines interleave: that is up to the Go runtime, which draws, and looks
//	   at the real time. A seed that failed may have to be run a few times.
//	I2 A run that does not end is a failure, and prints where it hangs.
package runner
