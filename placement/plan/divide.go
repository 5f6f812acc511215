package plan

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

const (
	splitsPerNode = 2 // in one plan, of ranges led by one node
	mergesPerNode = 4 // in flight in the cluster, for each so many nodes one
)

// splits plans splits of ranges that are too large or too busy.
func (p *planner) splits() {
	s := p.view.Settings
	count := make([]int8, len(p.nodes))
	for i := range p.ranges {
		r := &p.ranges[i]
		st := r.Status
		large := st.SizeBytes > s.RangeMaxBytes
		busy := s.SplitBusy > 0 && st.Load.GetBusy() > s.SplitBusy
		if !large && !busy || r.busy || p.root(r) || r.rest.Resting(operator.Split, p.now) || count[r.leader] >= splitsPerNode {
			continue
		}
		count[r.leader]++
		if large {
			p.emit(r, operator.SplitSize, fmt.Sprintf("%s, the limit is %s", human(float64(st.SizeBytes)),
				human(float64(s.RangeMaxBytes))), splitSteps(r, pontoonpb.SplitBy_SPLIT_BY_SIZE))
			continue
		}
		p.emit(r, operator.SplitLoad, fmt.Sprintf("busy %.0f %% of the time, the limit is %.0f %%; %.0f requests/s",
			100*st.Load.Busy, 100*s.SplitBusy, st.Load.WritesPerSecond+st.Load.ReadsPerSecond),
			splitSteps(r, pontoonpb.SplitBy_SPLIT_BY_LOAD))
	}
}

func splitSteps(r *ranged, by pontoonpb.SplitBy) []operator.Step {
	return []operator.Step{{Kind: operator.SplitAt, Range: r.id, By: by}}
}

// merges plans merges of neighbours that are small, idle and old enough.
func (p *planner) merges() {
	if p.view.Settings.RangeMergeBytes < 0 {
		return
	}
	most := len(p.nodes)/mergesPerNode + 1
	for i := 0; i+1 < len(p.ranges) && p.merging < most; i++ {
		left, right := &p.ranges[i], &p.ranges[i+1]
		if !p.cold(left, right) {
			continue
		}
		if steps := p.mergeSteps(left, right); steps != nil {
			p.merging++
			p.emitMerge(left, right, operator.MergeCold, fmt.Sprintf(
				"with range %d %s and %.1f requests/s together, below %s and %.1f", right.id,
				human(float64(left.Status.SizeBytes+right.Status.SizeBytes)), cost(left.Status.Load)+cost(right.Status.Load),
				human(float64(p.view.Settings.RangeMergeBytes)), p.view.Settings.MergeRequestsPerSecond), steps)
		}
	}
}

// cold reports whether two ranges are to be merged.
func (p *planner) cold(left, right *ranged) bool {
	s := p.view.Settings
	if left.Status.SizeBytes+right.Status.SizeBytes >= s.RangeMergeBytes ||
		cost(left.Status.Load)+cost(right.Status.Load) >= s.MergeRequestsPerSecond ||
		left.Status.Load.GetBusy()+right.Status.Load.GetBusy() >= halfBusy*s.SplitBusy && s.SplitBusy > 0 {
		return false
	}
	age := time.Duration(s.MergeAfterSeconds) * time.Second
	for _, r := range []*ranged{left, right} {
		if r.busy || r.issue != healthy || p.now.Sub(r.Changed) < age || r.rest.Resting(operator.Merge, p.now) {
			return false
		}
	}
	return neighbours(left, right)
}

// halfBusy: ranges that are together half as busy as what is split stay apart.
const halfBusy = 0.5

// neighbours reports whether the one range ends where the other begins and
// they may be one (I6).
func neighbours(left, right *ranged) bool {
	start := right.Status.Desc.Span.GetStart()
	return bytes.Equal(left.Status.Desc.Span.GetEnd(), start) && left.id != proto.RootRange && right.id != proto.RootRange &&
		!bytes.Equal(start, keys.LeaseSpan.Start) && !bytes.Equal(start, keys.UserSpan.Start)
}

// mergeSteps moves the replicas of the smaller range to where the other's are,
// then merges. Nil: not now.
func (p *planner) mergeSteps(left, right *ranged) []operator.Step {
	mover, fixed := right, left
	if left.Status.SizeBytes < right.Status.SizeBytes {
		mover, fixed = left, right
	}
	var steps []operator.Step
	var to []int32
	for _, m := range fixed.members {
		if !mover.on(m.node) {
			if !p.canHold(mover, m.node) || !p.slot(mover, m.node) {
				return nil
			}
			to = append(to, m.node)
		}
	}
	for _, m := range mover.members {
		if !fixed.on(m.node) {
			if len(to) == 0 {
				return nil // the one has more replicas: checkers come first
			}
			steps = append(steps, p.moveSteps(mover, m.node, to[0])...)
			to = to[1:]
		}
	}
	if len(to) > 0 {
		return nil
	}
	return append(steps, operator.Step{
		Kind: operator.MergeRight, Range: left.id, Right: right.id, Key: right.Status.Desc.Span.Start})
}

func (p *planner) emitMerge(left, right *ranged, kind operator.Kind, reason string, steps []operator.Step) {
	p.emit(left, kind, reason, steps)
	right.busy = true
	for _, s := range steps {
		if s.Range == right.id {
			p.anticipateStep(right, s)
		}
	}
}
