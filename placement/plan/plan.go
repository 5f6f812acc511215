package plan

import (
	"cmp"
	"slices"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
)

// Result is a plan.
type Result struct {
	Operators []*operator.Operator // the most urgent first
	// UnderReplicated counts ranges with fewer replicas on nodes that are not
	// gone than wanted, WithoutLeader those that no leader reported.
	UnderReplicated int
	WithoutLeader   int
	Blocked         []Blocked
}

// rank puts repair of the root range first (I3).
func rank(o *operator.Operator) operator.Priority {
	if o.Range == proto.RootRange && o.Kind.Class() == operator.Repair {
		return 0
	}
	return o.Kind.Priority()
}

// Make makes a plan.
func Make(v *View) Result {
	p := newPlanner(v)
	p.check()
	p.splits()
	p.merges()
	if !v.Settings.BalanceOff {
		p.balanceLeaders()
		p.balanceLoad()
		p.balanceSize()
	}
	slices.SortStableFunc(p.ops, func(a, b *operator.Operator) int { return cmp.Compare(rank(a), rank(b)) })
	p.result.Operators = p.ops
	return p.result
}
