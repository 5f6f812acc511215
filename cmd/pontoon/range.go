package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func newRange() *cobra.Command {
	cmd := group("range", "Show and steer ranges")
	cmd.AddCommand(newRangeList(), newRangeShow(), newRangeSplit(), newRangeMerge(), newRangeMove(), newRangeTransfer(), newRangeChecksum())
	return cmd
}

// rangeID reads a range id as an argument.
func rangeID(arg string) (uint64, error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%q is not a range id", arg)
	}
	return id, nil
}

// orders are what --sort takes; ties are in key order.
var orders = map[string]func(a, b rangeView) int{
	"key":    func(a, b rangeView) int { return 0 },
	"id":     func(a, b rangeView) int { return cmp.Compare(a.ID, b.ID) },
	"size":   func(a, b rangeView) int { return cmp.Compare(b.SizeBytes, a.SizeBytes) },
	"keys":   func(a, b rangeView) int { return cmp.Compare(b.LiveKeys, a.LiveKeys) },
	"writes": func(a, b rangeView) int { return cmp.Compare(loadOf(b).Writes, loadOf(a).Writes) },
	"reads":  func(a, b rangeView) int { return cmp.Compare(loadOf(b).Reads, loadOf(a).Reads) },
	"leader": func(a, b rangeView) int { return cmp.Compare(a.LeaderName, b.LeaderName) },
}

func loadOf(v rangeView) loadView {
	if v.Load == nil {
		return loadView{}
	}
	return *v.Load
}

func newRangeList() *cobra.Command {
	var f adminFlags
	order := "key"
	cmd := &cobra.Command{
		Use: "list", Short: "List all ranges", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			compare, ok := orders[order]
			if !ok {
				return fmt.Errorf("--sort must be key, id, size, keys, writes, reads or leader (set to %q)", order)
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				nodes, err := listNodes(ctx, c)
				if err != nil {
					return err
				}
				resp, err := c.RangeList(ctx, &pontoonpb.RangeListRequest{})
				if err != nil {
					return err
				}
				views := make([]rangeView, len(resp.Ranges))
				for i, s := range resp.Ranges {
					views[i] = viewRange(s, namesOf(nodes))
				}
				slices.SortStableFunc(views, compare)
				return printRanges(cmd, f.output, views)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&order, "sort", order, "key, id, size, keys, writes, reads or leader")
	return cmd
}

func printRanges(cmd *cobra.Command, output string, views []rangeView) error {
	if output == outputJSON {
		return printJSON(cmd.OutOrStdout(), views)
	}
	rows := make([][]any, len(views))
	for i, v := range views {
		rows[i] = []any{
			v.ID, v.Start, v.End, v.LeaderName, membersText(v.Members), liveText(v.LiveKeys), sizeText(v.SizeBytes),
			rateText(v.Load, func(l *loadView) float64 { return l.Writes }),
			rateText(v.Load, func(l *loadView) float64 { return l.Reads }), v.State,
		}
	}
	return table(cmd.OutOrStdout(), "ID\tSTART\tEND\tLEADER\tREPLICAS\tKEYS\tSIZE\tWRITES/S\tREADS/S\tSTATE", rows)
}

func newRangeShow() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show every replica of a range", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := rangeID(args[0])
			if err != nil {
				return err
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				nodes, err := listNodes(ctx, c)
				if err != nil {
					return err
				}
				resp, err := c.RangeShow(ctx, &pontoonpb.RangeShowRequest{RangeId: id})
				if err != nil {
					return err
				}
				views := make([]rangeView, len(resp.Replicas))
				for i, s := range resp.Replicas {
					views[i] = viewRange(s, namesOf(nodes))
				}
				slices.SortStableFunc(views, func(a, b rangeView) int { return cmp.Compare(a.NodeName, b.NodeName) })
				if f.output == outputJSON {
					return printJSON(cmd.OutOrStdout(), views)
				}
				return printReplicas(cmd, views)
			})
		},
	}
	f.add(cmd)
	return cmd
}

// printReplicas shows a range: what its newest descriptor says, then a line per
// replica, those that do not answer included.
func printReplicas(cmd *cobra.Command, views []rangeView) error {
	newest := slices.MaxFunc(views, func(a, b rangeView) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Term, b.Term), len(a.progress())-len(b.progress()))
	})
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "range %d, %s to %s, generation %d, %s\n", newest.ID, newest.Start, newest.End, newest.Generation, newest.State)
	if l := newest.Load; l != nil {
		fmt.Fprintf(out, "%.1f writes/s, %.1f reads/s, %s/s written, busy %.0f%%\n", l.Writes, l.Reads, bytesText(int64(l.Bytes)), 100*l.Busy)
	}
	var rows [][]any
	for _, v := range views {
		role := "departed" // it has not heard yet
		for _, m := range newest.Members {
			if m.Node == v.Node {
				role = m.Role
			}
		}
		rows = append(rows, []any{
			v.NodeName + mark(v.Node == v.Leader), role, v.Term, v.First, v.Applied, v.Last, v.Closed, v.Floor,
			liveText(v.LiveKeys), sizeText(v.SizeBytes), v.State + newest.snapshotText(v.Node),
		})
	}
	for _, m := range newest.Members {
		if !slices.ContainsFunc(views, func(v rangeView) bool { return v.Node == m.Node }) {
			rows = append(rows, []any{m.Name, m.Role, "-", "-", "-", "-", "-", "-", "-", "-", "no answer" + newest.snapshotText(m.Node)})
		}
	}
	return table(out, "REPLICA\tROLE\tTERM\tFIRST\tAPPLIED\tLAST\tCLOSED\tFLOOR\tKEYS\tSIZE\tSTATE", rows)
}

// progress returns the replicas that this view, the leader's, follows.
func (v rangeView) progress() (out []replicaView) {
	for _, m := range v.Members {
		if m.Active != nil {
			out = append(out, m)
		}
	}
	return out
}

// snapshotText says how far a replica's snapshot is, if one is under way.
func (v rangeView) snapshotText(node string) string {
	for _, m := range v.Members {
		if m.Node == node && m.SnapshotTotal > 0 {
			return fmt.Sprintf(", snapshot %s of %s", bytesText(m.SnapshotBytes), bytesText(m.SnapshotTotal))
		}
	}
	return ""
}

func mark(leader bool) string {
	if leader {
		return " (leader)"
	}
	return ""
}
