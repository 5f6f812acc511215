// Package runner runs seeds of the simulation, each in a process of its own, so
// that a seed does the same each time.
//
//	GOROOT/src/runtime --patched--> overlay --go test -c--> sim.test --> seed 1
//	                                                            \------> seed 2 ...
//
// A simulated cluster is thousands of goroutines of many libraries. In virtual
// time (testing/synctest) they depend on nothing outside, but on what the Go
// runtime draws: the order of a select, of a map, and who runs when a time slice
// ends. So the binary is built with a runtime of which a few lines are other ones:
// what it draws within a bubble comes from one sequence, no goroutine is preempted,
// and waiting for a mutex counts as waiting. With one processor and a garbage
// collector that stops the world nothing should be left to chance.
//
// Invariants:
//
//	I1 A seed is to have one history: the same binary, seed and number of steps
//	   give the same run, to the last log line (TestSeeds/exact).
//	I2 A patch that does not fit the toolchain is an error, never skipped.
package runner
