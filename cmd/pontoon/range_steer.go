package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func newRangeSplit() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "split KEY", Short: "Split the range that holds KEY so that KEY starts the right side", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := unquote(args[0])
			if err != nil {
				return err
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				resp, err := c.RangeSplit(ctx, &pontoonpb.RangeSplitRequest{Key: key})
				if err != nil {
					return err
				}
				if f.output == outputJSON {
					return printJSON(cmd.OutOrStdout(), map[string]uint64{"left": resp.Left.RangeId, "right": resp.Right.RangeId})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "range %d is now %s to %s, range %d %s to %s\n",
					resp.Left.RangeId, keys.Text(resp.Left.Span.Start), keys.Text(resp.Left.Span.End),
					resp.Right.RangeId, keys.Text(resp.Right.Span.Start), keys.Text(resp.Right.Span.End))
				return nil
			})
		},
	}
	f.add(cmd)
	return cmd
}

// unquote lets a key with arbitrary bytes be given in Go's string syntax, as
// `range list` prints it; anything else is taken as it is.
func unquote(arg string) ([]byte, error) {
	if len(arg) < 2 || arg[0] != '"' {
		return []byte(arg), nil
	}
	s, err := strconv.Unquote(arg)
	if err != nil {
		return nil, fmt.Errorf("%s is not a quoted key: %w", arg, err)
	}
	return []byte(s), nil
}

func newRangeTransfer() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "transfer-leader ID NODE", Short: "Move the leadership of a range to another node", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := rangeID(args[0])
			if err != nil {
				return err
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				node, err := f.node(ctx, c, args[1])
				if err != nil {
					return err
				}
				_, err = c.RangeTransferLeader(ctx, &pontoonpb.RangeTransferLeaderRequest{RangeId: id, ToNode: node.NodeId})
				if err != nil {
					return err
				}
				if f.output == outputJSON {
					return printJSON(cmd.OutOrStdout(), map[string]any{"range": id, "leader": nodeText(node.NodeId), "leader_name": node.Name})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "range %d is led by %s\n", id, args[1])
				return nil
			})
		},
	}
	f.add(cmd)
	return cmd
}

// node finds a node by name or id.
func (f *adminFlags) node(ctx context.Context, c pontoonpb.AdminClient, arg string) (*pontoonpb.NodeStatus, error) {
	nodes, err := listNodes(ctx, c)
	if err != nil {
		return nil, err
	}
	return findNode(nodes, arg)
}

func newRangeMove() *cobra.Command {
	var f longFlags
	var from, to string
	cmd := &cobra.Command{
		Use:   "move ID --from NODE --to NODE",
		Short: "Move a replica of a range; with only --to add one, with only --from remove one",
		Long: "Move a replica of a range to another node: the new one is filled from a snapshot, gets its vote, and\n" +
			"the old one goes. Placement goes on keeping the replication factor: a replica too many or too few does\n" +
			"not stay.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := rangeID(args[0])
			if err != nil {
				return err
			}
			if from == "" && to == "" {
				return errors.New("give --from NODE, --to NODE or both")
			}
			req := &pontoonpb.RangeMoveRequest{RangeId: id}
			var op *pontoonpb.OperatorStatus
			err = f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				for _, end := range []struct {
					arg string
					id  *uint64
				}{{from, &req.FromNode}, {to, &req.ToNode}} {
					if end.arg == "" {
						continue
					}
					n, err := f.node(ctx, c, end.arg)
					if err != nil {
						return err
					}
					*end.id = n.NodeId
				}
				resp, err := c.RangeMove(ctx, req)
				op = resp.GetOperator()
				return err
			})
			if err != nil {
				return err
			}
			return f.follow(cmd, op, func(ctx context.Context, c pontoonpb.AdminClient) (bool, error) {
				return moved(ctx, c, req)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "node that loses the replica: name or id")
	cmd.Flags().StringVar(&to, "to", "", "node that gets it: name or id")
	return cmd
}

// moved says whether the range is as a move leaves it.
func moved(ctx context.Context, c pontoonpb.AdminClient, req *pontoonpb.RangeMoveRequest) (bool, error) {
	resp, err := c.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: req.RangeId})
	if err != nil {
		return false, err
	}
	desc := newestDesc(resp.Replicas)
	return !holds(desc, req.FromNode) && (req.ToNode == 0 || votes(desc, req.ToNode)), nil
}

func newRangeMerge() *cobra.Command {
	var f longFlags
	cmd := &cobra.Command{
		Use: "merge ID", Short: "Merge a range with its right neighbour", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := rangeID(args[0])
			if err != nil {
				return err
			}
			var op *pontoonpb.OperatorStatus
			var end []byte
			err = f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				shown, err := c.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: id})
				if err != nil {
					return err
				}
				end = newestDesc(shown.Replicas).Span.End
				resp, err := c.RangeMerge(ctx, &pontoonpb.RangeMergeRequest{RangeId: id})
				op = resp.GetOperator()
				return err
			})
			if err != nil {
				return err
			}
			return f.follow(cmd, op, func(ctx context.Context, c pontoonpb.AdminClient) (bool, error) {
				shown, err := c.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: id})
				if err != nil {
					return false, err
				}
				return string(newestDesc(shown.Replicas).Span.End) > string(end), nil
			})
		},
	}
	f.add(cmd)
	return cmd
}

func newestDesc(replicas []*pontoonpb.RangeStatus) *pontoonpb.Descriptor {
	newest := replicas[0].Desc
	for _, r := range replicas {
		if r.Desc.Generation > newest.Generation {
			newest = r.Desc
		}
	}
	return newest
}

func holds(desc *pontoonpb.Descriptor, node uint64) bool {
	return slices.ContainsFunc(desc.Replicas, func(r *pontoonpb.Replica) bool { return r.NodeId == node })
}

func votes(desc *pontoonpb.Descriptor, node uint64) bool {
	return slices.ContainsFunc(desc.Replicas, func(r *pontoonpb.Replica) bool {
		return r.NodeId == node && r.Role == pontoonpb.ReplicaRole_REPLICA_VOTER
	})
}
