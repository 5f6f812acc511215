// Package cgroup caps processes of a measurement with the kernel's control
// groups: CPU time, and written bytes where the kernel can.
//
//	Open --> parent group --> Group "n1" [quota, processes]
//	                      --> Group "n2"  ...
//	Close: all groups away
//
// It takes version 2 if that has the cpu controller, else version 1.
//
// Invariants:
//
//	I1 A cap that the kernel would not keep is an error of Open or Cap, never a
//	   silent nothing: a figure measured without it would be invented.
//	I2 Only groups that this package made are changed and removed; those that a
//	   killed run left behind are removed by the next Open.
package cgroup
