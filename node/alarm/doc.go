// Package alarm keeps etcd's alarms: records of the root range that make every
// gateway refuse what would harm a full or damaged cluster.
//
//	Alarm RPC, quota, checksum checker --conditioned write of records + alarm epoch--> root range
//	                                                       |
//	              sequencer's replies carry the epoch to every node (P9)
//	                                                       v
//	request --> Gate: alarms of the newest epoch known --> KV, Lease
//	              \--write carries the epoch--> leader: asks for its number
//	                                            under it, or refuses
//
// NOSPACE refuses puts, lease grants and txns that hold a put; CORRUPT refuses
// every change. Reads go on, as in etcd.
//
// Invariants:
//
//	I1  A change of the records and the next epoch are one write, valid only over
//	    the records that it was decided on.
//	I2  A write takes its revision under the alarms that it was checked under, or
//	    takes none: once an alarm was raised, no write that was sent later gets
//	    past it at any gateway.
//	I3  No change is let through before the records were read once.
//	I4  What finds a store full answers only after the alarm is raised.
package alarm
