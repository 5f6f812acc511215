// Package overload measures what a cluster still does when it is asked for far
// more than it can do.
//
//	per system, one cluster at a time:
//	  start, split, deal out leaders, fill      as fast as it goes
//	  cap every node (package cgroup)           e.g. 0.2 of a core each
//	  closed-loop clients                       peak: what it can do
//	  open loop, e.g. 4 x peak                  useful, refused, late, failed
//	     beside: a lease is kept alive,         vitals
//	     terms and memory are watched
//	  closed-loop clients again                 after: does it recover?
//
// Invariants:
//
//	I1 Without caps that the kernel keeps there is no figure but an error: the
//	   clients would take what the nodes need.
//	I2 A put is useful if its answer came within the deadline, counted from when
//	   it was due and not from when it was sent.
//	I3 Offered load does not wait for answers. What the clients could not send is
//	   told apart: it is not the cluster's.
package overload
