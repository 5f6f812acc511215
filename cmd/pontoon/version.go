package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/node/version"
)

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print Pontoon's version and the etcd version whose API it serves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Pontoon string `json:"pontoon"`
				EtcdAPI string `json:"etcd_api"`
				Commit  string `json:"commit"`
				Go      string `json:"go"`
			}{version.Pontoon, version.Etcd, version.Commit(), runtime.Version()}
			if output == outputJSON {
				return printJSON(cmd.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Pontoon Version: %s\netcd API: %s\nGit SHA: %s\nGo Version: %s\n",
				v.Pontoon, v.EtcdAPI, v.Commit, v.Go)
			return err
		},
	}
	addOutput(cmd, &output)
	return cmd
}
