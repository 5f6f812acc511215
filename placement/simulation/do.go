package simulation

import (
	"bytes"
	"slices"
	"time"

	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Do runs an operation on the leader of the range that it names, by the rules
// of a real range.
func (c *Cluster) Do(op *pontoonpb.RangeOp) *pontoonpb.RangeReply {
	r := c.byID[op.RangeId]
	if r == nil || !proto.SpanOf(r.Status.Desc.Span).Covers(proto.SpanOf(op.Span)) {
		return fail(pontoonpb.RangeErrorCode_RANGE_MISMATCH, "span is not inside the range")
	}
	if r.Status.LeaderNode == 0 {
		return fail(pontoonpb.RangeErrorCode_UNAVAILABLE, "no leader")
	}
	switch o := op.Op.(type) {
	case *pontoonpb.RangeOp_Status:
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Status{Status: c.Status(proto.RangeID(op.RangeId))}}
	case *pontoonpb.RangeOp_ChangeReplicas:
		return c.change(r, o.ChangeReplicas)
	case *pontoonpb.RangeOp_Transfer:
		return c.transfer(r, o.Transfer.ToNode)
	case *pontoonpb.RangeOp_SplitPoint:
		return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_SplitPoint{SplitPoint: &pontoonpb.SplitPointReply{Key: middle(r)}}}
	case *pontoonpb.RangeOp_Split:
		return c.split(r, o.Split)
	case *pontoonpb.RangeOp_Merge:
		return c.merge(r, o.Merge)
	}
	return refuse("not an operation of the model")
}

func fail(code pontoonpb.RangeErrorCode, text string) *pontoonpb.RangeReply {
	return &pontoonpb.RangeReply{Error: proto.ToWire(proto.Errorf(code, "%s", text))}
}

func refuse(text string) *pontoonpb.RangeReply { return fail(pontoonpb.RangeErrorCode_REFUSED, text) }

// edit gives the range a new descriptor; old ones stay as they were seen.
func (c *Cluster) edit(r *Range) *pontoonpb.Descriptor {
	d := gproto.Clone(r.Status.Desc).(*pontoonpb.Descriptor)
	d.Generation++
	return d
}

func (c *Cluster) change(r *Range, op *pontoonpb.ChangeReplicasOp) *pontoonpb.RangeReply {
	if op.Generation != r.Status.Desc.Generation {
		return refuse("decided under another generation")
	}
	d := c.edit(r)
	for _, s := range op.Steps {
		if why := c.step(r, d, s); why != "" {
			return refuse(why)
		}
	}
	if !c.quorum(d.Replicas) {
		return fail(pontoonpb.RangeErrorCode_UNAVAILABLE, "the new replicas have no quorum")
	}
	i := slices.IndexFunc(d.Replicas, func(rep *pontoonpb.Replica) bool { return rep.NodeId == r.Status.LeaderNode })
	if i < 0 || d.Replicas[i].Role != pontoonpb.ReplicaRole_REPLICA_VOTER {
		c.broken(r, "lost its leader to a change")
	}
	r.Status.Desc, r.Changed = d, c.Now
	r.Status.LastIndex++
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_ChangeReplicas{
		ChangeReplicas: &pontoonpb.ChangeReplicasReply{Desc: d}}}
}

// step changes one replica in d; what it returns is why not.
func (c *Cluster) step(r *Range, d *pontoonpb.Descriptor, s *pontoonpb.ReplicaStep) string {
	i := slices.IndexFunc(d.Replicas, func(rep *pontoonpb.Replica) bool { return rep.NodeId == s.NodeId })
	if s.Kind == pontoonpb.ReplicaStepKind_REPLICA_ADD_LEARNER {
		if i >= 0 {
			return "the node has a replica already"
		}
		d.Replicas = append(d.Replicas, &pontoonpb.Replica{
			NodeId: s.NodeId, ReplicaId: d.NextReplicaId, Role: pontoonpb.ReplicaRole_REPLICA_LEARNER})
		d.NextReplicaId++
		r.copies[s.NodeId] = c.Now
		return ""
	}
	if i < 0 {
		return "the node has no replica"
	}
	learner := d.Replicas[i].Role == pontoonpb.ReplicaRole_REPLICA_LEARNER
	switch s.Kind {
	case pontoonpb.ReplicaStepKind_REPLICA_PROMOTE:
		if since, copying := r.copies[s.NodeId]; copying && c.copied(since) < r.Status.SizeBytes || !learner {
			return "the replica is not a learner that has caught up"
		}
		delete(r.copies, s.NodeId)
		c.Moved++
		d.Replicas[i].Role = pontoonpb.ReplicaRole_REPLICA_VOTER
	case pontoonpb.ReplicaStepKind_REPLICA_DEMOTE:
		if learner {
			return "the replica is a learner"
		}
		d.Replicas[i].Role = pontoonpb.ReplicaRole_REPLICA_LEARNER
	default:
		if !learner {
			return "the replica votes"
		}
		delete(r.copies, s.NodeId)
		d.Replicas = slices.Delete(d.Replicas, i, i+1)
	}
	return ""
}

func (c *Cluster) transfer(r *Range, to uint64) *pontoonpb.RangeReply {
	i := slices.IndexFunc(r.Status.Desc.Replicas, func(rep *pontoonpb.Replica) bool { return rep.NodeId == to })
	if i < 0 || r.Status.Desc.Replicas[i].Role != pontoonpb.ReplicaRole_REPLICA_VOTER || !c.byNode[to].Live {
		return refuse("the node cannot lead")
	}
	r.Status.LeaderNode = to
	r.Status.Term++
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Transfer{Transfer: &pontoonpb.TransferReply{}}}
}

// middle is a key between start and end, nil if there is none or all load is on
// one key.
func middle(r *Range) []byte {
	const digits = 9
	if r.OneKey {
		return nil
	}
	s := proto.SpanOf(r.Status.Desc.Span)
	a, b := make([]byte, digits), make([]byte, digits)
	copy(a, s.Start)
	copy(b, s.End)
	m, carry := make([]byte, digits), 0
	for i := digits - 1; i >= 0; i-- {
		sum := int(a[i]) + int(b[i]) + carry
		m[i], carry = byte(sum), sum>>8
	}
	for i := range m { // half of the sum
		carry = carry<<8 | int(m[i])
		m[i], carry = byte(carry>>1), carry&1
	}
	if bytes.Compare(m, s.Start) <= 0 || bytes.Compare(m, s.End) >= 0 {
		return nil
	}
	return m
}

func (c *Cluster) split(r *Range, op *pontoonpb.SplitOp) *pontoonpb.RangeReply {
	s := proto.SpanOf(r.Status.Desc.Span)
	if !s.Contains(op.Key) || bytes.Equal(s.Start, op.Key) || c.byID[op.RightRangeId] != nil {
		return refuse("not a key to split at, or an id that was used")
	}
	left, right := c.edit(r), c.edit(r)
	left.Span, right.Span = proto.Span{Start: s.Start, End: op.Key}.Wire(), proto.Span{Start: op.Key, End: s.End}.Wire()
	right.RangeId = op.RightRangeId
	other := &Range{Status: &pontoonpb.RangeStatus{
		Desc: right, LeaderNode: r.Status.LeaderNode, Term: 1, LastIndex: 100, SizeBytes: r.Status.SizeBytes / 2,
	}, Changed: c.Now, copies: map[uint64]time.Time{}}
	for n, t := range r.copies {
		other.copies[n] = t
	}
	other.SetLoad(r.Requests / 2)
	r.Status.Desc, r.Changed = left, c.Now
	r.Status.SizeBytes -= other.Status.SizeBytes
	r.SetLoad(r.Requests / 2)
	c.insert(other)
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Split{Split: &pontoonpb.SplitReply{Left: left, Right: right}}}
}

func (c *Cluster) merge(r *Range, op *pontoonpb.MergeOp) *pontoonpb.RangeReply {
	right := c.byID[op.RightRangeId]
	if right == nil || !bytes.Equal(right.Status.Desc.Span.Start, r.Status.Desc.Span.End) {
		return refuse("not the right neighbour")
	}
	if !slices.Equal(voterNodes(r), voterNodes(right)) || len(r.copies)+len(right.copies) > 0 {
		return refuse("the replicas are not on the same nodes")
	}
	d := c.edit(r)
	d.Span.End = right.Status.Desc.Span.End
	d.Generation = max(d.Generation, right.Status.Desc.Generation+1)
	r.Status.Desc, r.Changed = d, c.Now
	r.Status.SizeBytes += right.Status.SizeBytes
	r.SetLoad(r.Requests + right.Requests)
	delete(c.byID, op.RightRangeId)
	at := slices.Index(c.Ranges, right)
	c.Ranges = slices.Delete(c.Ranges, at, at+1)
	return &pontoonpb.RangeReply{Reply: &pontoonpb.RangeReply_Merge{Merge: &pontoonpb.MergeReply{Merged: d}}}
}

func voterNodes(r *Range) []uint64 {
	var list []uint64
	for _, rep := range r.Status.Desc.Replicas {
		list = append(list, rep.NodeId)
	}
	slices.Sort(list)
	return list
}
