package rangeraft

import (
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/pontoon-kv/pontoon/proto"
)

// errTooMany refuses a client's write before it is evaluated.
var errTooMany = proto.Answer(rpctypes.ErrGRPCRequestTooManyRequests)

// admit takes a place at the range for a client's write of so many bytes, which
// leave gives back. Every gateway bounds what it lets in, but the leader of what
// all of them want must not take the sum. The later steps of a txn over ranges
// need no place: they release what it holds.
func (r *Replica) admit(bytes int64) bool {
	writers, all := r.writers.Add(1), r.s.writing.Add(bytes)
	if writers > int64(r.s.opts.MaxWriters) || all > r.s.opts.MaxWriteBytes && all > bytes {
		r.leave(bytes)
		r.s.metrics.refused.Inc()
		return false
	}
	return true
}

func (r *Replica) leave(bytes int64) {
	r.writers.Add(-1)
	r.s.writing.Add(-bytes)
}
