package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// emptied waits until no range has a replica on the node. stuck ends it when
// nothing has moved for a while and nothing is about to.
func (f *longFlags) emptied(cmd *cobra.Command, n *pontoonpb.NodeStatus, stuck bool) error {
	e := emptying{node: n, sizes: map[uint64]int64{}, began: time.Now(), moved: time.Now()}
	return f.until(cmd, func(ctx context.Context, c pontoonpb.AdminClient) (progress, error) {
		held, err := rangesOn(ctx, c, n.NodeId)
		if err != nil {
			return progress{}, err
		}
		ops, err := c.PlacementOperators(ctx, &pontoonpb.PlacementOperatorsRequest{})
		if err != nil {
			return progress{}, err
		}
		p := e.look(time.Now(), held, ops.Operators)
		if !p.done && stuck && time.Since(e.moved) > stuckAfter {
			return p, finalError{fmt.Sprintf("node %s: %s, and nothing moves for %v: may any other node take them? (see `pontoon placement operators` and `pontoon node list`); it stays draining",
				n.Name, p.text, stuckAfter)}
		}
		return p, nil
	})
}

const stuckAfter = time.Minute

// emptying follows how replicas leave a node.
type emptying struct {
	node  *pontoonpb.NodeStatus
	sizes map[uint64]int64 // of every range ever seen there
	began time.Time
	moved time.Time // when something was seen to move last
	left  int
	bytes int64
}

// blockedState is the state of what placement would do and cannot. Its reason
// begins with the node that it is about.
const blockedState = "blocked"

// name is what placement calls the node.
func (e *emptying) name() string {
	if e.node.Name != "" {
		return e.node.Name
	}
	return "node " + nodeText(e.node.NodeId)
}

// look makes progress out of what is held still and what operators say.
func (e *emptying) look(now time.Time, held []*pontoonpb.RangeStatus, ops []*pontoonpb.OperatorStatus) progress {
	leads, left := 0, map[uint64]int64{}
	for _, r := range held {
		e.sizes[r.Desc.RangeId] = max(r.SizeBytes, e.sizes[r.Desc.RangeId], 0)
		left[r.Desc.RangeId] = e.sizes[r.Desc.RangeId]
		if r.LeaderNode == e.node.NodeId {
			leads++
		}
	}
	var total, done int64
	for id, size := range e.sizes {
		total += size
		if _, still := left[id]; !still {
			done += size
		}
	}
	part := float64(len(e.sizes) - len(left))
	moving := 0
	blocked := ""
	for _, op := range ops {
		if op.State == blockedState && strings.HasPrefix(op.Reason, e.name()+" ") {
			blocked = "; " + op.Reason
		}
		if size, ours := left[op.RangeId]; ours && op.State == "running" {
			moving++
			part += min(op.Progress, 0.99)
			done += min(op.BytesDone, size)
		}
	}
	if len(left) != e.left || done != e.bytes || moving > 0 {
		e.moved, e.left, e.bytes = now, len(left), done
	}
	p := progress{
		text: fmt.Sprintf("%d replicas left, %d of them lead, %d are moving%s", len(left), leads, moving, blocked),
		part: 1, bytes: done, total: total, eta: -1, done: len(left) == 0,
	}
	if len(e.sizes) > 0 {
		p.part = part / float64(len(e.sizes))
	}
	if spent := now.Sub(e.began).Seconds(); p.part > 0.02 && spent > 1 {
		p.eta = spent * (1 - p.part) / p.part
	}
	return p
}
