package main

import (
	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/bench"
)

// newBench mounts the harness.
func newBench() *cobra.Command {
	cmd := group("bench", "Load, fault runs and comparisons with etcd")
	for _, c := range bench.Commands() {
		sub := &cobra.Command{
			Use: c.Name, Short: c.Short, Long: c.Long, Args: cobra.NoArgs, Hidden: c.Hidden,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return c.Run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			},
		}
		sub.Flags().AddGoFlagSet(c.Flags)
		cmd.AddCommand(sub)
	}
	return cmd
}
