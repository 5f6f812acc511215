// Package svg draws the three charts that a report needs, as SVG text.
//
//	Bars   ratios per workload around a line at 1, on a logarithmic axis
//	Spans  latencies per workload, p50 to p99.9, one stroke per system
//	Lines  y over x, one line per series
//
// Colours tell systems apart, and so do the legend and the order; black on
// white, so that it reads on any page.
//
// Invariants:
//
//	I1 The same input gives the same bytes: charts are committed and compared.
//	I2 Text is escaped; a value that is no number is left out.
package svg
