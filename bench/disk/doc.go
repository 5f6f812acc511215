// Package disk is a file system for a node under test that can lose power, take
// its time over syncs, hold everything up, and run out of room.
//
//	pontoon process --system calls--> kernel --FUSE--> Disk, in this process
//	                                                     file: blocks now | blocks as of the last fsync
//	                                                     dir:  names now  | names as of its last fsync
//	                                                     \-- LosePower: only the right column is left,
//	                                                         and what a seed picks of the left one
//
// A kill of a process loses nothing, since the kernel keeps what was written;
// only a loss of power tells whether what was acknowledged had been synced. The
// model is harsher than the usual file systems: a new file is lost without a sync
// of its directory, blocks of a file are kept one by one, and a file that grew may
// have its length and zeros for its end. A truncation is there at once. Of the
// changes to one directory a prefix is kept; a rename inside of it is one change
// (see Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
//
// Invariants:
//
//	I1 What was synced before LosePower is there after it, bytes and names.
//	I2 What a process reads is what was written last, synced or not.
//	I3 What is kept beyond that follows from the seed alone.
//
// It needs Linux, /dev/fuse and the right to mount.
package disk
