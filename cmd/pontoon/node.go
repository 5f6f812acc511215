package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func newNode() *cobra.Command {
	cmd := group("node", "Show nodes, take them in and out of use")
	cmd.AddCommand(newNodeList(), newNodeShow(), newNodeDrain(), newNodeUndrain(), newNodeRemove())
	return cmd
}

type nodeView struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	State      string   `json:"state"`
	Learner    bool     `json:"learner"`
	Locality   string   `json:"locality"`
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"`
	Replicas   int64    `json:"replicas"`
	Leaders    int64    `json:"leaders"`
	SizeBytes  int64    `json:"size_bytes"`
	DiskFree   int64    `json:"disk_free_bytes"`
	DiskTotal  int64    `json:"disk_total_bytes"`
	Version    string   `json:"version"`
}

func viewNode(n *pontoonpb.NodeStatus) nodeView {
	return nodeView{
		ID: nodeText(n.NodeId), Name: n.Name, State: n.State, Learner: n.Learner, Locality: localityText(n.Locality),
		PeerURLs: n.PeerUrls, ClientURLs: n.ClientUrls,
		Replicas: n.Replicas, Leaders: n.Leaders, SizeBytes: n.SizeBytes,
		DiskFree: n.DiskFreeBytes, DiskTotal: n.DiskTotalBytes, Version: n.Version,
	}
}

// localityText writes tiers as --locality takes them.
func localityText(tiers []*pontoonpb.LocalityTier) string {
	parts := make([]string, len(tiers))
	for i, t := range tiers {
		parts[i] = t.Key + "=" + t.Value
	}
	return strings.Join(parts, ",")
}

func newNodeList() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the nodes with their state and load", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				nodes, err := listNodes(ctx, c)
				if err != nil {
					return err
				}
				return printNodes(cmd, f.output, nodes)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func printNodes(cmd *cobra.Command, output string, nodes []*pontoonpb.NodeStatus) error {
	views := make([]nodeView, len(nodes))
	rows := make([][]any, len(nodes))
	for i, n := range nodes {
		v := viewNode(n)
		views[i] = v
		rows[i] = []any{
			v.ID, orDash(v.Name), v.stateText(), orDash(v.Locality), strings.Join(v.ClientURLs, ","),
			v.Replicas, v.Leaders, bytesText(v.SizeBytes), v.diskText(), v.Version,
		}
	}
	if output == outputJSON {
		return printJSON(cmd.OutOrStdout(), views)
	}
	return table(cmd.OutOrStdout(), "ID\tNAME\tSTATE\tLOCALITY\tCLIENT URLS\tREPLICAS\tLEADERS\tSIZE\tDISK FREE\tVERSION", rows)
}

func (v nodeView) stateText() string {
	if v.Learner {
		return v.State + " (learner)"
	}
	return v.State
}

func (v nodeView) diskText() string {
	if v.DiskTotal == 0 {
		return "-"
	}
	return fmt.Sprintf("%s of %s", bytesText(v.DiskFree), bytesText(v.DiskTotal))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newNodeShow() *cobra.Command {
	var f adminFlags
	var ranges bool
	cmd := &cobra.Command{
		Use: "show NODE", Short: "Show a node, by name or id, and the ranges it holds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				nodes, err := listNodes(ctx, c)
				if err != nil {
					return err
				}
				n, err := findNode(nodes, args[0])
				if err != nil {
					return err
				}
				held, err := rangesOn(ctx, c, n.NodeId)
				if err != nil {
					return err
				}
				return printNode(cmd, f.output, n, held, namesOf(nodes), ranges)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&ranges, "ranges", false, "list the ranges, not only their number")
	return cmd
}

// rangesOn lists the ranges that have a replica on a node.
func rangesOn(ctx context.Context, c pontoonpb.AdminClient, node uint64) ([]*pontoonpb.RangeStatus, error) {
	resp, err := c.RangeList(ctx, &pontoonpb.RangeListRequest{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(resp.Ranges, func(r *pontoonpb.RangeStatus) bool { return !holds(r.Desc, node) }), nil
}

func printNode(cmd *cobra.Command, output string, n *pontoonpb.NodeStatus, held []*pontoonpb.RangeStatus, names nodeNames, list bool) error {
	v := viewNode(n)
	ranges := make([]rangeView, len(held))
	led, asleep := 0, 0
	for i, r := range held {
		ranges[i] = viewRange(r, names)
		if r.LeaderNode == n.NodeId {
			led++
		}
		if r.Hibernating {
			asleep++
		}
	}
	if output == outputJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			nodeView
			Ranges []rangeView `json:"ranges"`
		}{v, ranges})
	}
	out := cmd.OutOrStdout()
	if err := printPairs(out, [][2]string{
		{"name", orDash(v.Name)}, {"id", v.ID}, {"state", v.stateText()}, {"locality", orDash(v.Locality)},
		{"client urls", strings.Join(v.ClientURLs, ",")}, {"peer urls", strings.Join(v.PeerURLs, ",")},
		{"version", v.Version}, {"engine", bytesText(v.SizeBytes)}, {"disk free", v.diskText()},
		{"replicas", fmt.Sprintf("%d, %d of them lead, %d asleep", len(held), led, asleep)},
	}); err != nil || !list {
		return err
	}
	fmt.Fprintln(out)
	return printRanges(cmd, output, ranges)
}

func printPairs(out io.Writer, pairs [][2]string) error {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range pairs {
		fmt.Fprintf(tw, "%s\t%s\n", p[0], p[1])
	}
	return tw.Flush()
}
