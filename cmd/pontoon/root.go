package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "pontoon",
		Short:         "A horizontally scalable store that speaks the etcd v3 API",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newStart(), newDemo(), newRange(), newNode(), newPlacement(), newRestore(), newImport(), newBench(), newVersion(), newDebug(), newEngineCommits(), newSequencerAlone())
	return root
}

// group is a command that only holds others. A word that is none of them is
// refused: a script must not take a misspelt command for a success.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
}
