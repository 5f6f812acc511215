package driver

import (
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/placement/operator"
	"github.com/pontoon-kv/pontoon/placement/plan"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Place serves Peer.Place. It does not block.
func (d *Driver) Place(req *pontoonpb.PlaceRequest) *pontoonpb.PlaceReply {
	if req.ClusterId != 0 && req.ClusterId != d.opts.ClusterID {
		return refused("this is another cluster")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.reign
	if r == nil || !d.opts.Root.Leading() {
		return &pontoonpb.PlaceReply{NotLeader: true, LeaderNode: uint64(d.opts.Root.Leader())}
	}
	if r.view == nil { // it has just begun and knows nothing yet: ask again
		return &pontoonpb.PlaceReply{NotLeader: true, LeaderNode: uint64(d.opts.Root.Leader())}
	}
	switch q := req.Request.(type) {
	case *pontoonpb.PlaceRequest_List:
		return r.list(q.List.GetEnded())
	case *pontoonpb.PlaceRequest_Move:
		o, why := plan.Move(r.current(), proto.RangeID(q.Move.RangeId), proto.NodeID(q.Move.FromNode), proto.NodeID(q.Move.ToNode))
		return d.placeLocked(r, o, why)
	case *pontoonpb.PlaceRequest_Merge:
		o, why := plan.Merge(r.current(), proto.RangeID(q.Merge.RangeId))
		return d.placeLocked(r, o, why)
	case *pontoonpb.PlaceRequest_Cancel:
		return d.cancelLocked(r, q.Cancel.Id)
	}
	return refused("nothing is asked for")
}

func refused(why string) *pontoonpb.PlaceReply { return &pontoonpb.PlaceReply{Refused: why} }

// current is the view of the last plan with what changed since.
func (r *reign) current() *plan.View {
	v := *r.view
	v.Now = time.Now()
	v.Ranges, v.Running = r.figures.list(v.Now), r.set.Running()
	return &v
}

func (d *Driver) placeLocked(r *reign, o *operator.Operator, why string) *pontoonpb.PlaceReply {
	switch {
	case why != "":
		return refused(why)
	case len(r.stops) >= 2*d.opts.MaxOperators:
		return refused(fmt.Sprintf("%d operators are running: try again later", len(r.stops)))
	case !d.startLocked(r, o):
		return refused(fmt.Sprintf("another operator works on range %d", o.Range))
	}
	return &pontoonpb.PlaceReply{Operators: []*pontoonpb.OperatorStatus{o.Status(r.view.Names(), time.Now())}}
}

func (d *Driver) cancelLocked(r *reign, id uint64) *pontoonpb.PlaceReply {
	o := r.set.Find(id)
	if o == nil {
		return refused(fmt.Sprintf("no operator %d is running", id))
	}
	o.Cancel("canceled by hand", time.Now())
	d.retireLocked(r, o, time.Now())
	return &pontoonpb.PlaceReply{Operators: []*pontoonpb.OperatorStatus{o.Status(r.view.Names(), time.Now())}}
}

// list describes the running operators and what is blocked, and first those that
// ended if asked for.
func (r *reign) list(ended bool) *pontoonpb.PlaceReply {
	reply := &pontoonpb.PlaceReply{}
	names, now := r.view.Names(), time.Now()
	if ended {
		for _, o := range r.set.EndedOnes() {
			reply.Operators = append(reply.Operators, o.Status(names, now))
		}
	}
	for _, o := range r.set.Running() {
		reply.Operators = append(reply.Operators, o.Status(names, now))
	}
	for _, b := range r.blocked {
		reply.Operators = append(reply.Operators, blockedStatus(b))
	}
	return reply
}

// blockedStatus shows what cannot be done beside what is. It is no operator and
// has no id: the next plan looks again.
func blockedStatus(b plan.Blocked) *pontoonpb.OperatorStatus {
	reason := b.Reason
	if b.Ranges > 1 {
		reason = fmt.Sprintf("%s (%d ranges)", reason, b.Ranges)
	}
	return &pontoonpb.OperatorStatus{
		RangeId: uint64(b.Range), Kind: string(b.Kind), State: BlockedState, Reason: reason, EtaSeconds: -1,
	}
}

// BlockedState is shown where an operator's state is shown.
const BlockedState = "blocked"
