package main

import (
	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "pontoon",
		Short:         "A horizontally scalable store that speaks the etcd v3 API",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newStart(), newDemo(), newRange(), newNode(), newBench(), newVersion())
	return root
}
