// Package limits measures what no store on this machine can be faster than: the
// reference lines of a comparison.
//
//	echo    official clients --> gRPC server that answers every put with a header,
//	        a process of its own: what a request costs before anything is done
//	engine  synced batches of one value, 1 and 16 committers, in an engine with a
//	        node's options, a process of its own: what durability costs on one node
//	sync    write and sync of one file: what the disk costs
//
// Invariants:
//
//	I1 Clients, connections and values are those of the comparison, through the
//	   same code (package dial).
//	I2 A cell with failed requests is an error, not a number.
package limits
