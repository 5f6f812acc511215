// Package kubeload writes, reads, lists and watches the way Kubernetes does, and
// verifies everything that it reads.
//
//	Load ---> creates: Txn(mod = 0) put                     \
//	Churn --> updates: Txn(mod = n) put, else get           |--> book of what was
//	          deletes: Txn(mod = n) delete, else get        |    acknowledged
//	          gets, paged lists at one revision             /         |
//	          informers: list + watch per resource, cache, prev_kv    |
//	Verify -> one paged list of everything  <---- compared -----------+
//	          every informer's cache        <---- compared
//
// Keys are /registry/<resource>/<namespace>/<name>; the mix and the sizes (0.4
// to 20 KB) follow real clusters. It uses the official client only, so it works
// the same against any etcd.
//
// Invariants it checks:
//
//	I1 A value read is whole (checksum) and belongs to its key.
//	I2 A read never shows less than what was acknowledged before it began.
//	I3 No lost update: between the revision that a write compared and its own
//	   lies no other acknowledged write of that key.
//	I4 Pages of one list: one revision, key order, no repeat, count > len(kvs)
//	   exactly if more follows.
//	I5 An informer's cache equals the store at the end, each event follows from
//	   the cache, each previous value is the cached one.
//	I6 At the end each object is what was acknowledged last, or an unanswered
//	   write after it; nothing else exists.
package kubeload
