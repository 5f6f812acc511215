// Package integrity finds replicas of a range that hold something else than the
// others, which nothing but a fault of the disk, the memory or the program can
// bring about, and raises CORRUPT.
//
//	checker, where a range is led --\                /--> replica: sum at index i
//	                                 >-- Compare ---<---> replica: sum at index i
//	operator: range checksum -------/                \--> replica: sum at index i
//	                |
//	                '-- one index, several sums --> CORRUPT, of who differs
//
// Invariants:
//
//	I1  Sums are compared only if every replica was summed up at one index of the
//	    range's log: whatever lags or is down proves nothing.
//	I2  The checker has one range summed up at a time, and rests after it for as
//	    long as its size is worth.
package integrity
