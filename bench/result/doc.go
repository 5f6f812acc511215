// Package result is what a run of the suite found, as values and as JSON.
//
//	Run = machine, builds, settings
//	    + Samples:  one workload, once, on one system  -> Metrics
//	    + Sections: measurements of their own shape    -> Tables, Plots, Figures
//
//	Samples --Cells--> per workload and metric: both systems over the rounds,
//	                   and the ratio of each pair (same round) over the rounds
//
// Everything that a report, a goal or a regression check says is computed from a
// Run, so old results can be read again with new eyes.
//
// Invariants:
//
//	I1 A metric that was not measured is absent; zero means zero.
//	I2 A failed sample has no metrics and is in no ratio.
//	I3 A ratio pairs samples of one round only.
package result
