// Package measure reads what server processes used while clients were measured.
//
//	Meter.Start --> /metrics of every node, then /proc of every node   } Reading
//	   ... the window that counts ...
//	Meter.Stop  --> /proc of every node, then /metrics of every node   } Reading
//	Usage       =   the second minus the first, over all nodes
//
// What counts is what the kernel says of the processes (CPU, memory, bytes sent
// to storage), how much their directories take, and what their own /metrics say
// (syncs, allocated bytes). It also tells how much of the machine others used,
// for that spoils a figure, and describes the machine.
//
// Invariants:
//
//	I1 The reading of /metrics lies outside of the CPU time that is counted.
//	I2 What cannot be read is absent from the Usage (Known false), never zero.
package measure
