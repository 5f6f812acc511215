package main

import (
	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/placement/sequencer/alone"
)

// newSequencerAlone is the process that the report of `bench run` starts to
// measure the sequencer: the harness itself knows nothing of it.
func newSequencerAlone() *cobra.Command {
	var load alone.Load
	cmd := &cobra.Command{
		Use:    "sequencer-alone",
		Short:  "Measure how many revisions one core hands out, with nothing around it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rate, err := alone.Measure(cmd.Context(), load)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), struct {
				Messages  int64   `json:"messages"`
				Revisions int64   `json:"revisions"`
				Seconds   float64 `json:"seconds"`
			}{rate.Messages, rate.Revisions, rate.Took.Seconds()})
		},
	}
	cmd.Flags().IntVar(&load.Nodes, "nodes", 64, "nodes that always ask")
	cmd.Flags().Int64Var(&load.Folded, "folded", 16, "writes of a node that one message asks for")
	cmd.Flags().Int64Var(&load.Messages, "messages", 1_000_000, "messages of all nodes together")
	return cmd
}
