package steer

import (
	"context"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Range is a range as its leader sees it.
type Range struct {
	ID       uint64
	Start    []byte // internal keys
	End      []byte
	Leader   uint64 // node id, 0: not known
	Voters   []uint64
	Learners []uint64 // and what is between two configurations
	Asleep   bool     // it hibernates
}

// Root says whether it is the root range.
func (r *Range) Root() bool { return r.ID == 1 }

// Has says whether a node has a replica.
func (r *Range) Has(node uint64) bool {
	for _, n := range append(r.Voters[:len(r.Voters):len(r.Voters)], r.Learners...) {
		if n == node {
			return true
		}
	}
	return false
}

// Ranges lists all ranges in key order.
func (c *Client) Ranges(ctx context.Context) (out []Range, err error) {
	err = c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		resp, err := a.RangeList(ctx, &pontoonpb.RangeListRequest{})
		if err != nil {
			return err
		}
		out = nil
		for _, s := range resp.Ranges {
			r := Range{ID: s.Desc.RangeId, Start: s.Desc.Span.GetStart(), End: s.Desc.Span.GetEnd(), Leader: s.LeaderNode, Asleep: s.Hibernating}
			for _, rep := range s.Desc.Replicas {
				if rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER {
					r.Voters = append(r.Voters, rep.NodeId)
				} else {
					r.Learners = append(r.Learners, rep.NodeId)
				}
			}
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

// Split cuts a range at a client's key.
func (c *Client) Split(ctx context.Context, key string) error {
	return c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		_, err := a.RangeSplit(ctx, &pontoonpb.RangeSplitRequest{Key: []byte(key)})
		return err
	})
}

// Merge begins to merge a range with its right neighbour and returns the
// operator that goes on with it.
func (c *Client) Merge(ctx context.Context, id uint64) (operator uint64, err error) {
	err = c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		resp, err := a.RangeMerge(ctx, &pontoonpb.RangeMergeRequest{RangeId: id})
		operator = resp.GetOperator().GetId()
		return err
	})
	return operator, err
}

// Move begins to move a replica and returns the operator that goes on with it.
func (c *Client) Move(ctx context.Context, id, from, to uint64) (operator uint64, err error) {
	err = c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		resp, err := a.RangeMove(ctx, &pontoonpb.RangeMoveRequest{RangeId: id, FromNode: from, ToNode: to})
		operator = resp.GetOperator().GetId()
		return err
	})
	return operator, err
}

// TransferLeader moves a leadership.
func (c *Client) TransferLeader(ctx context.Context, id, to uint64) error {
	return c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		_, err := a.RangeTransferLeader(ctx, &pontoonpb.RangeTransferLeaderRequest{RangeId: id, ToNode: to})
		return err
	})
}

// Checksum is what one replica holds.
type Checksum struct {
	Node, Index, Sum uint64
	Error            string
}

// Checksums compares the replicas of a range.
func (c *Client) Checksums(ctx context.Context, id uint64) (sums []Checksum, equal bool, err error) {
	err = c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		resp, err := a.RangeChecksum(ctx, &pontoonpb.RangeChecksumRequest{RangeId: id})
		sums, equal = nil, resp.GetEqual()
		for _, r := range resp.GetReplicas() {
			sums = append(sums, Checksum{r.NodeId, r.Index, r.Sum, r.Error})
		}
		return err
	})
	return sums, equal, err
}
