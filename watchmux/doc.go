// Package watchmux is the etcd Watch service of a gateway: one feed per range,
// however many watchers, merged by revision into what each client asked for.
//
//	client stream --create, cancel, progress--> stream.operate --+
//	                                                             v
//	range feeds --> part runners --events, checkpoints--> merge.Mux (kernel)
//	history     --> catch-up workers ----pages----------->   |   |
//	                                                         |   +--> pusher --> PushClosed
//	client stream <-- stream.send <--- previous values <-----+
//
// What it owns: the goroutines and clocks around package merge, which holds
// the rules of order. One mutex guards the kernel; nothing blocks under it.
//
// Invariants:
//
//	I1 A range has one feed on this gateway, opened when the first watcher
//	   needs it, resumed from the part's closed revision whenever it ends, and
//	   closed some time after the last watcher left (P23, P24).
//	I2 The created header and the start of a watch from now come from a read
//	   revision taken after the request arrived: list and watch never miss.
//	I3 A slow client costs its own backlog: its watchers spill and catch up from
//	   history, feeds never wait for it.
//	I4 Whoever waits for resolved pushes closing to the revision it waits for;
//	   one push is in flight at a time.
//
// Called by node, which registers it with the gRPC server and wires the ports.
package watchmux
