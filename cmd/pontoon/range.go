package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func newRange() *cobra.Command {
	cmd := group("range", "Show and steer ranges")
	cmd.AddCommand(newRangeList(), newRangeShow(), newRangeSplit(), newRangeTransfer(), newRangeChecksum())
	return cmd
}

func unreachable(err error) bool { return status.Code(err) == codes.Unavailable }

// rangeView is a range as people and scripts see it.
type rangeView struct {
	ID         uint64   `json:"id"`
	Start      string   `json:"start"`
	End        string   `json:"end"`
	Generation uint64   `json:"generation"`
	Replicas   []string `json:"replicas"`
	Leader     string   `json:"leader"`
	Node       string   `json:"node,omitempty"`
	Term       uint64   `json:"term"`
	Applied    uint64   `json:"applied_index"`
	First      uint64   `json:"first_index"`
	Last       uint64   `json:"last_index"`
	Closed     int64    `json:"closed_revision"`
	Floor      int64    `json:"floor"`
	LiveKeys   int64    `json:"live_keys"`
	SizeBytes  int64    `json:"size_bytes"`
}

func viewRange(s *pontoonpb.RangeStatus) rangeView {
	v := rangeView{
		ID: s.Desc.RangeId, Start: keyText(s.Desc.Span.Start), End: keyText(s.Desc.Span.End),
		Generation: s.Desc.Generation, Leader: nodeText(s.LeaderNode), Node: nodeText(s.NodeId), Term: s.Term,
		Applied: s.AppliedIndex, First: s.FirstIndex, Last: s.LastIndex,
		Closed: s.Closed, Floor: s.Floor, LiveKeys: s.LiveKeys, SizeBytes: s.SizeBytes,
	}
	for _, r := range s.Desc.Replicas {
		v.Replicas = append(v.Replicas, nodeText(r.NodeId))
	}
	return v
}

func nodeText(id uint64) string {
	if id == 0 {
		return "unknown"
	}
	return strconv.FormatUint(id, 16)
}

// keyText renders an internal key: its span, then the key as a quoted string.
func keyText(key []byte) string {
	switch {
	case string(key) == string(keys.MetaSpan.Start):
		return "meta"
	case string(key) == string(keys.LeaseSpan.Start):
		return "lease"
	case string(key) == string(keys.UserSpan.Start):
		return "user"
	case string(key) == string(keys.Max):
		return "end"
	}
	if k, ok := keys.UserKey(key); ok {
		return strconv.Quote(string(k))
	}
	if id, ok := keys.LeaseOf(key); ok {
		return fmt.Sprintf("lease/%x", int64(id))
	}
	return fmt.Sprintf("%x", key)
}

func newRangeList() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List all ranges in key order", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				resp, err := c.RangeList(ctx, &pontoonpb.RangeListRequest{})
				if err != nil {
					return err
				}
				return printRanges(cmd, f.output, resp.Ranges, false)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func printRanges(cmd *cobra.Command, output string, ranges []*pontoonpb.RangeStatus, perReplica bool) error {
	views := make([]rangeView, len(ranges))
	rows := make([][]any, len(ranges))
	for i, s := range ranges {
		v := viewRange(s)
		who := any(v.Leader)
		if perReplica {
			who = v.Node + mark(v.Node == v.Leader)
		}
		views[i] = v
		rows[i] = []any{v.ID, v.Start, v.End, v.Generation, who, len(v.Replicas), v.Applied, v.Closed, liveText(v.LiveKeys), bytesText(v.SizeBytes)}
	}
	if output == "json" {
		return printJSON(cmd.OutOrStdout(), views)
	}
	column := "LEADER"
	if perReplica {
		column = "REPLICA"
	}
	return table(cmd.OutOrStdout(), "ID\tSTART\tEND\tGEN\t"+column+"\tREPLICAS\tAPPLIED\tCLOSED\tKEYS\tSIZE", rows)
}

func mark(leader bool) string {
	if leader {
		return " (leader)"
	}
	return ""
}

func liveText(n int64) string {
	if n < 0 {
		return "counting"
	}
	return strconv.FormatInt(n, 10)
}

func newRangeShow() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show every replica of a range", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not a range id", args[0])
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				resp, err := c.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: id})
				if err != nil {
					return err
				}
				return printRanges(cmd, f.output, resp.Replicas, true)
			})
		},
	}
	f.add(cmd)
	return cmd
}

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
				if f.output == "json" {
					return printJSON(cmd.OutOrStdout(), map[string]uint64{"left": resp.Left.RangeId, "right": resp.Right.RangeId})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "range %d is now %s to %s, range %d %s to %s\n",
					resp.Left.RangeId, keyText(resp.Left.Span.Start), keyText(resp.Left.Span.End),
					resp.Right.RangeId, keyText(resp.Right.Span.Start), keyText(resp.Right.Span.End))
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
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not a range id", args[0])
			}
			node, err := strconv.ParseUint(args[1], 16, 64)
			if err != nil {
				return fmt.Errorf("%q is not a node id (hexadecimal, see `pontoon node list`)", args[1])
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				_, err := c.RangeTransferLeader(ctx, &pontoonpb.RangeTransferLeaderRequest{RangeId: id, ToNode: node})
				if err != nil {
					return err
				}
				if f.output == "json" {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"range": id, "leader": nodeText(node)})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "range %d is led by %s\n", id, nodeText(node))
				return nil
			})
		},
	}
	f.add(cmd)
	return cmd
}
