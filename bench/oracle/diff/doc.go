// Package diff is the differential test: it issues the same operations to real etcd
// (the oracle) and to the system under test (the subject), one after the other, and
// compares everything a client can see.
//
//	Generator (seed) --- Op ---> Runner --+--> oracle  --+
//	  or Parse(file)                      |              +--> compare --> *Difference
//	                                      +--> subject --+                    |
//	history (witness watch on the oracle) ---> what each watcher must get     v
//	                                                                       Shrink
//
// It owns the text form of operations (op.go, refs.go), the generator (gen*.go), calls
// by several clients (client.go, method.go) and through the JSON gateway (json.go), the
// two sides of a run (side.go, call.go, stream.go, steer.go), the comparison (compare.go,
// ties.go, stale.go, extend.go, watch.go) and the shrinker (shrink.go).
//
// Invariants:
//
//	D1. An operation means the same in every run: it names revisions relative to
//	    the current or the compacted one and server-picked leases by symbols, so a
//	    sequence stays meaningful when operations are removed from it.
//	D2. Operations are sequential: the next begins when both sides have answered.
//	    Only reads that follow one another run at the same time.
//	D3. Left out of the comparison are cluster_id, member_id and raft_term (but not
//	    whether they are set), and nothing else, unless a normalisation says why
//	    etcd itself leaves the value undefined.
//	D4. A watcher is compared when the witness has seen the current revision: both
//	    sides must then have delivered exactly as many events as the history has
//	    for that watcher.
//	D5. Nothing is compacted at a revision that deletes a key and puts it again:
//	    etcd 3.7.3 loses that put, and the next read of the key ends its process
//	    ("range failed to find revision pair").
//
// The package talks raw gRPC (etcdserverpb), so that malformed requests can be sent
// and no client library repairs an answer. It never imports the product.
package diff
