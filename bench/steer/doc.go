// Package steer steers ranges and nodes of a running cluster, as `pontoon range`
// and `pontoon node` do, without starting a process for each command.
//
//	fault runs --> Client --Admin service--> the first node that answers
//
// It is the one place of the harness that knows something of the product: the
// wire types of the Admin service. What it returns is its own.
//
// Invariants:
//
//	I1 A command is sent once more, to the next node, only if it did not reach
//	   one. A refusal is an error that Refused tells apart.
package steer
