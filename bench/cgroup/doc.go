// Package cgroup caps processes of a measurement with the kernel's control
// groups: CPU time, memory, and written bytes where the kernel can.
//
//	Open --> parent group --> Group "n1" [quota, processes]
//	                      --> Group "n2"  ...
//	Close: all groups away
//
// It takes version 2 if that has the cpu controller, else version 1. There each
// controller has a tree of its own: a group whose memory is capped lies in two.
//
// Invariants:
//
//	I1 A cap that the kernel would not keep is an error of Open, OpenMemory or Cap,
//	   never a silent nothing: a figure measured without it would be invented.
//	I2 Only groups that this package made are changed and removed; those that a
//	   killed run left behind are removed by the next Open.
//	I3 Memory belongs to the group that a process was in when it took it: who caps
//	   memory starts processes within (Enter), and does not move them later (Add).
package cgroup
