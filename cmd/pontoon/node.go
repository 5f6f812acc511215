package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func newNode() *cobra.Command {
	cmd := group("node", "Show nodes")
	cmd.AddCommand(newNodeList())
	return cmd
}

type nodeView struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	State      string   `json:"state"`
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"`
	Replicas   int64    `json:"replicas"`
	Leaders    int64    `json:"leaders"`
	SizeBytes  int64    `json:"size_bytes"`
	Version    string   `json:"version"`
}

func newNodeList() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the nodes with their state and load", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				resp, err := c.NodeList(ctx, &pontoonpb.NodeListRequest{})
				if err != nil {
					return err
				}
				return printNodes(cmd, f.output, resp.Nodes)
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
		v := nodeView{
			ID: nodeText(n.NodeId), Name: n.Name, State: n.State, PeerURLs: n.PeerUrls, ClientURLs: n.ClientUrls,
			Replicas: n.Replicas, Leaders: n.Leaders, SizeBytes: n.SizeBytes, Version: n.Version,
		}
		views[i] = v
		rows[i] = []any{v.ID, v.Name, v.State, strings.Join(v.ClientURLs, ","), v.Replicas, v.Leaders, bytesText(v.SizeBytes), v.Version}
	}
	if output == "json" {
		return printJSON(cmd.OutOrStdout(), views)
	}
	return table(cmd.OutOrStdout(), "ID\tNAME\tSTATE\tCLIENT URLS\tREPLICAS\tLEADERS\tSIZE\tVERSION", rows)
}
