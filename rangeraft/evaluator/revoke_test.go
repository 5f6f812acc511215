package evaluator

import (
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// P39: a new leader goes on with a revoke that another one began: the lease is
// not renewed before its outcome, which the lessor hears of.
func TestP39RevokeOfAnEarlierLeader(t *testing.T) {
	r := newRig(t, keys.LeaseSpan)
	r.do(grantLease(7), grantLease(8), revokeLock(1, 7))
	user := lockAs(2, false, lockSpan(pontoonpb.LockMode_LOCK_SHARED, keys.Point(keys.Lease(8))))
	r.do(user) // a put over ranges that names the lease revokes nothing
	r.lessor.begun = nil
	r.lead(2)
	r.ev.ResumeRevokes()
	r.ev.ResumeRevokes() // told again of its span
	equal(t, "begun", len(r.lessor.begun), 1)
	equal(t, "begun", r.lessor.begun[0], "7@0/0")
	op := abort(1)
	op.GetAbort().AnchorKey = keys.Lease(7)
	r.do(op)
	equal(t, "ended", len(r.lessor.ended), 1)
	equal(t, "ended", r.lessor.ended[0], "7 false")

	r.do(revokeLock(3, 7))
	r.lead(3)
	r.lessor.refuse = proto.NotLeader(0)
	r.ev.ResumeRevokes() // the lessor lost it: nothing to be told
	r.do(revokeCommit(3, 7))
	equal(t, "ended", len(r.lessor.ended), 1)
}
