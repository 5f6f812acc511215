package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/bench/proc"
	"github.com/pontoon-kv/pontoon/storage"
)

// newEngineCommits is the process that `bench limits` starts to measure the
// engine: the harness itself knows nothing of it.
func newEngineCommits() *cobra.Command {
	var dir string
	load := storage.CommitLoad{}
	cmd := &cobra.Command{
		Use:    "engine-commits",
		Short:  "Measure synced commits of an engine alone, in a directory that does not exist yet",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			before, err := proc.Read(os.Getpid())
			if err != nil {
				return fmt.Errorf("CPU time: %w", err)
			}
			rate, err := storage.MeasureCommits(cmd.Context(), dir, load)
			if err != nil {
				return err
			}
			after, err := proc.Read(os.Getpid())
			if err != nil {
				return fmt.Errorf("CPU time: %w", err)
			}
			return printJSON(cmd.OutOrStdout(), struct {
				Commits int64   `json:"commits"`
				Seconds float64 `json:"seconds"`
				P50Ms   float64 `json:"p50_ms"`
				P99Ms   float64 `json:"p99_ms"`
				CPU     float64 `json:"cpu_seconds"`
			}{rate.Commits, rate.Took.Seconds(), rate.P50.Seconds() * 1e3, rate.P99.Seconds() * 1e3, (after.CPU - before.CPU).Seconds()})
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to make")
	cmd.Flags().IntVar(&load.Committers, "committers", 1, "goroutines that commit")
	cmd.Flags().IntVar(&load.ValueBytes, "value-size", 256, "bytes of the value in each batch")
	cmd.Flags().DurationVar(&load.For, "for", 3*time.Second, "time to measure")
	return cmd
}
