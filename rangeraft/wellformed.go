package rangeraft

import (
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// wellFormed reports whether an operation that came from another node has all
// the parts that what carries it out relies on. Who sent one without them runs
// another program, or a damaged one.
func wellFormed(op *pontoonpb.RangeOp) bool {
	switch o := op.GetOp().(type) {
	case *pontoonpb.RangeOp_Read:
		return o.Read.GetRequest() != nil
	case *pontoonpb.RangeOp_Write:
		return o.Write.GetRequest().GetRequest() != nil
	case *pontoonpb.RangeOp_Lock:
		if o.Lock.GetTxn() == nil {
			return false
		}
		for _, l := range o.Lock.Locks {
			if l.GetSpan() == nil {
				return false
			}
		}
		return true
	case *pontoonpb.RangeOp_Commit:
		return o.Commit.GetTxn() != nil
	case *pontoonpb.RangeOp_Abort:
		return o.Abort.GetTxn() != nil
	case *pontoonpb.RangeOp_Resolve:
		return o.Resolve.GetTxn() != nil
	case *pontoonpb.RangeOp_Forget:
		return o.Forget.GetTxn() != nil
	case *pontoonpb.RangeOp_MergeStep:
		s := o.MergeStep.GetStep()
		return s.GetId() != nil && (s.Kind != pontoonpb.MergeStep_BEGIN || s.Left != nil && s.Right != nil)
	}
	return true
}
