// Package report turns a result.Run into files that people read.
//
//	Render(run) --> report.md       goals, throughput, latency, cost, sections
//	                *.svg           ratio bars, latency spans, lines
//	                raw.json        the run itself
//	                bench.txt       samples as benchstat reads them
//
// Invariants:
//
//	I1 Every number comes from the run: the same run gives the same files.
//	I2 A median is shown with its spread over the rounds; failed and disturbed
//	   samples are told, not hidden.
package report
