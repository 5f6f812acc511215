// Package storage keeps everything a node has on disk: the MVCC data, the
// local records and the raft logs of all its ranges, in one pebble engine.
//
//	 raft Ready of many ranges                 requests, feeds, transfers
//	        |                                        ^
//	        v                                        |
//	+--------------- Batch ---------------+   +---- View / Log ----+
//	| AppendLog  TruncateLog              |   | Get Scan Changes   |
//	| Apply -> versions, lease index,     |   | Local LeaseKeys    |
//	|          local records, AppliedState|   | Hash Checksum      |
//	| CreateRange SetDescriptor Remove    |   | Export             |
//	+-----------------+-------------------+   +---------^----------+
//	                  | Commit(sync)                    |
//	                  v                                 |
//	     one write-ahead log, one LSM tree -------------+
//	                  ^                ^
//	    ImportSnapshot (tables)     Dropper (versions below the floor)
//
// Key layout: see enginekey. What a record holds: see record.go and state.go.
//
// Ordering. The write-ahead log is one sequence, and what survives a crash is a
// beginning of it. So nothing but log appends and hard states needs a sync:
//
//	append(i) synced ... apply(i) ... truncate(<=i) ... append(j) synced ...
//	'------------------ a crash keeps a beginning of this ------------------'
//
// An apply that is lost is repeated from the log, which was durable before it
// was applied and is not truncated before it. A sync of any later batch makes
// the apply durable as a side effect. Ingested tables are durable at once and
// would overtake the sequence, so it is synced before (P47).
//
// Invariants:
//
//	I1 A range's applied state is written in the same batch as the data it
//	   speaks of, so the two never disagree; it never runs ahead of the log.
//	I2 Repeating an apply leads to the same state. Only a span deletion writes
//	   in several batches; each of them can be repeated (P36).
//	I3 The log is truncated only up to the applied index.
//	I4 Within a key, what is older than a tombstone is dropped no later than
//	   the tombstone. The newest version of a live key is never dropped.
//	I5 Nothing logical depends on layout or on how far dropping came: reads at
//	   or above the floor, the changes from the floor on, Hash and Checksum do
//	   not see it (P43).
//	I6 One goroutine at a time writes a range. Readers are free.
//	I7 Each change is a version of its own, also if one revision changes a key
//	   several times (P17). Reads at a revision see the last of them.
//
// There is no cache of values beside pebble's block cache. Best of eight runs on
// two busy cores, 100 k keys of 256 bytes: a get in a view takes 1.8 us, 0.4 us
// if the filters know that the key is absent (BenchmarkGet), a hit in a
// ristretto cache of latest versions 0.1 us (BenchmarkGetCached). But a cache
// that is never stale is written with every applied effect, which raises an
// effect from 2.4 to 4.1 us (BenchmarkApply, BenchmarkApplyCached) on each of
// three replicas, of which one evaluates. A write does about one get, so the
// cache would cost more than it saves.
//
// Used by rangeraft, which evaluates, proposes and applies. The package never
// evaluates a request, never reads a clock but to pace dropping, and knows of
// other nodes only what a descriptor says.
package storage
