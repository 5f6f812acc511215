package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/node/offline"
	"github.com/pontoon-kv/pontoon/proto"
)

func newDebug() *cobra.Command {
	cmd := group("debug", "Look into, check and repair the data directory of a node that does not run")
	cmd.AddCommand(newInspect(), newVerify(), newUnsafeRecover())
	return cmd
}

// addDataDir gives a command --data-dir, which it must have.
func addDataDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "data-dir", "", "data directory of a stopped node")
	if err := cmd.MarkFlagRequired("data-dir"); err != nil {
		panic(err) // the flag is one line above
	}
}

func newInspect() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use: "inspect", Short: "Show ranges, replicas, raft state and disk use of a stopped node", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := offline.Inspect(dir)
			if err != nil {
				return err
			}
			if output == outputJSON {
				return printJSON(cmd.OutOrStdout(), in)
			}
			return printInspection(cmd.OutOrStdout(), in)
		},
	}
	addDataDir(cmd, &dir)
	addOutput(cmd, &output)
	return cmd
}

func printInspection(w io.Writer, in *offline.Inspection) error {
	fmt.Fprintf(w, "%s: node %s (%s) of cluster %s\n", in.DataDir, in.NodeID, in.Name, in.ClusterID)
	d := in.Disk
	fmt.Fprintf(w, "%d files: tables %s (%s of users' data), write-ahead logs %s, MANIFESTs %s, other %s\n\n", d.Files,
		bytesText(d.Tables), bytesText(d.UserData), bytesText(d.Logs), bytesText(d.Manifests), bytesText(d.Other))
	var rows [][]any
	for _, r := range in.Ranges {
		rows = append(rows, []any{r.ID, r.Start, r.End, r.Generation, replicasText(r.Replicas), r.Term, r.Truncated, r.Applied, r.Commit, r.Last, r.Closed, r.LiveKeys, bytesText(r.Bytes)})
	}
	return table(w, "RANGE\tSTART\tEND\tGENERATION\tREPLICAS\tTERM\tTRUNCATED\tAPPLIED\tCOMMIT\tLAST\tCLOSED\tKEYS\tSIZE", rows)
}

func replicasText(list []offline.Replica) string {
	parts := make([]string, len(list))
	for i, r := range list {
		parts[i] = fmt.Sprintf("%s/%d", r.Node, r.ID)
		if r.Role != "voter" {
			parts[i] += " " + r.Role
		}
	}
	return strings.Join(parts, ",")
}

func newVerify() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use: "verify", Short: "Read everything a stopped node has on disk and list what is damaged", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := offline.Verify(cmd.Context(), dir, nil)
			if err != nil {
				return err
			}
			if output == outputJSON {
				err = printJSON(cmd.OutOrStdout(), v)
			} else {
				err = printVerification(cmd.OutOrStdout(), v)
			}
			if n := len(v.Damage); n > 0 {
				return errors.Join(err, fmt.Errorf("%s is damaged: %d problems; do not start the node on it (docs/operations.md says what to do)", dir, n))
			}
			return err
		},
	}
	addDataDir(cmd, &dir)
	addOutput(cmd, &output)
	return cmd
}

func printVerification(w io.Writer, v *offline.Verification) error {
	var rows [][]any
	for _, r := range v.Ranges {
		rows = append(rows, []any{r.ID, r.Applied, r.LogEntries, r.Keys, r.Versions, r.Tombstones, r.Leases, r.Records, r.Checksum})
	}
	if err := table(w, "RANGE\tAPPLIED\tLOG ENTRIES\tKEYS\tVERSIONS\tTOMBSTONES\tLEASED\tRECORDS\tCHECKSUM", rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d tables of %s read\n", v.Tables, bytesText(v.TableBytes))
	for _, d := range v.Damage {
		fmt.Fprintln(w, "DAMAGED:", d)
	}
	if len(v.Damage) == 0 {
		fmt.Fprintln(w, "no damage found")
	}
	return nil
}

const unsafeText = `Makes the replicas of this stopped node the only ones of their ranges, where the nodes
that are lost for good (--lost) took the majority with them, so that those ranges can be
served again. Without --yes-i-know it only says what it would do.

THIS BREAKS PROMISES. Writes that were acknowledged but that this node had not received
are lost, and leases and permissions with them; transactions over several ranges may be
there in part. Writes that nobody was told of may appear. Watchers and caches may have
seen what is gone. If a lost node ever starts again with its old data there are two
clusters that both take themselves for the right one: destroy its data first. Try
everything else before: a disk that can still be read, another survivor that has more of
the log (debug inspect), a backup.

Recover each range at ONE node only, the one with the highest last index. Then start it,
remove the lost nodes (pontoon node remove NAME --force), and let empty nodes join.`

func newUnsafeRecover() *cobra.Command {
	var dir, output string
	var ids []uint
	var o offline.RecoverOptions
	cmd := &cobra.Command{
		Use: "unsafe-recover", Short: "Recover ranges that lost their majority from this stopped node alone",
		Long: unsafeText, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.DataDir = dir
			for _, id := range ids {
				o.Ranges = append(o.Ranges, proto.RangeID(id))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n\n", unsafeText)
			r, err := offline.Recover(cmd.Context(), o)
			if err != nil {
				return err
			}
			if output == outputJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printRecovered(cmd.OutOrStdout(), r)
		},
	}
	addDataDir(cmd, &dir)
	cmd.Flags().StringSliceVar(&o.Lost, "lost", nil, "names or ids of the nodes that never come back")
	if err := cmd.MarkFlagRequired("lost"); err != nil {
		panic(err) // the flag is one line above
	}
	cmd.Flags().UintSliceVar(&ids, "range", nil, "only these ranges; without it all that lost their majority")
	cmd.Flags().Int64Var(&o.Bump, "bump-revision", offline.DefaultBump, "how far beyond every revision known here numbers go on, if the root range is among them")
	cmd.Flags().BoolVar(&o.DespiteQuorum, "despite-quorum", false, "believe --lost although such a node answers, and recover what --range names although it has a majority")
	cmd.Flags().BoolVar(&o.Write, "yes-i-know", false, "do it")
	addOutput(cmd, &output)
	return cmd
}

func printRecovered(w io.Writer, r *offline.Recovered) error {
	var rows [][]any
	for _, x := range r.Ranges {
		rows = append(rows, []any{x.ID, x.Start, x.End, replicasText(x.Before), x.Applied, x.Commit, x.Last, x.Uncertain, recoveredNote(&x)})
	}
	if err := table(w, "RANGE\tSTART\tEND\tREPLICAS BEFORE\tAPPLIED\tCOMMIT\tLAST\tUNCERTAIN\tNOTE", rows); err != nil {
		return err
	}
	if n := len(r.Quorate); n > 0 {
		fmt.Fprintf(w, "%d ranges have a majority without the lost nodes and stay as they are\n", n)
	}
	for _, m := range r.Missing {
		switch {
		case m.ID == 0:
			fmt.Fprintf(w, "NOT HERE: %s to %s: this node cannot tell who has it\n", m.Start, m.End)
		case len(m.Survivors) > 0:
			fmt.Fprintf(w, "NOT HERE: range %d, %s to %s: recover it at one of %s\n", m.ID, m.Start, m.End, strings.Join(m.Survivors, ", "))
		default:
			fmt.Fprintf(w, "LOST: range %d, %s to %s: no replica is left\n", m.ID, m.Start, m.End)
		}
	}
	if r.NextRevision > 0 {
		fmt.Fprintf(w, "revisions go on at %d\n", r.NextRevision)
	}
	verb := "recovered"
	if !r.Written {
		verb = "would be recovered; nothing was written (--yes-i-know does it)"
	}
	_, err := fmt.Fprintf(w, "%d ranges %s\n", len(r.Ranges), verb)
	return err
}

func recoveredNote(x *offline.RecoveredRange) string {
	var notes []string
	if x.Learner {
		notes = append(notes, "was a learner: may be far behind")
	}
	if x.Dropped > 0 {
		notes = append(notes, fmt.Sprintf("%d log entries dropped", x.Dropped))
	}
	if len(x.Survivors) > 0 {
		notes = append(notes, "compare with "+strings.Join(x.Survivors, ", ")+" first")
	}
	return strings.Join(notes, "; ")
}
