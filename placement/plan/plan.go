package plan

import (
	"cmp"
	"slices"

	"github.com/pontoon-kv/pontoon/placement/operator"
)

// Result is a plan.
type Result struct {
	Operators []*operator.Operator // the most urgent first
	// UnderReplicated counts ranges with fewer replicas on nodes that are not
	// gone than wanted, WithoutLeader those that no leader reported.
	UnderReplicated int
	WithoutLeader   int
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
	slices.SortStableFunc(p.ops, func(a, b *operator.Operator) int {
		return cmp.Compare(a.Kind.Priority(), b.Kind.Priority())
	})
	p.result.Operators = p.ops
	return p.result
}
