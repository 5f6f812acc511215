package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/restore"
	"github.com/pontoon-kv/pontoon/proto"
)

func newRestore() *cobra.Command {
	cfg := config.Default()
	var o restore.Options
	var markCompacted bool
	var output string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a node of a new cluster from a backup, Pontoon's or etcd's",
		Long: "Makes the data directory of one node of a new cluster from a file that `etcdctl snapshot save`\n" +
			"made of Pontoon or of etcd. Run it for every node of the new cluster, with the same file and the\n" +
			"same --initial-cluster; then start the nodes with the flags they were restored with.\n" +
			"Revisions, versions, leases and authentication stay as they were.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if markCompacted != (o.BumpRevision > 0) {
				return errors.New("--mark-compacted required if --bump-revision > 0")
			}
			if err := cfg.Complete(); err != nil {
				return err
			}
			o.File, o.DataDir, o.Name = args[0], cfg.DataDir, cfg.Name
			o.InitialCluster, o.InitialClusterToken = cfg.InitialCluster, cfg.InitialClusterToken
			o.AdvertisePeerURLs = cfg.AdvertisePeerURLs
			o.Logger = slog.New(slog.DiscardHandler)
			m := newMeter(os.Stderr)
			o.Progress = func(step string, done, total int64) {
				if total > 0 {
					m.show(progress{text: step, part: float64(done) / float64(total), eta: -1})
				}
			}
			res, err := restore.Run(cmd.Context(), o)
			m.finish()
			if err != nil {
				return err
			}
			return printRestored(cmd.OutOrStdout(), output, cfg.DataDir, res)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Name, "name", cfg.Name, "human-readable name of this node")
	f.StringVar(&cfg.DataDir, "data-dir", "", "path of the data directory, which must not exist or be empty (default NAME.pontoon)")
	f.StringVar(&cfg.InitialCluster, "initial-cluster", "", "all nodes of the new cluster: name=url,name=url")
	f.StringVar(&cfg.InitialClusterToken, "initial-cluster-token", cfg.InitialClusterToken, "tells clusters apart that are built from the same URLs")
	f.StringSliceVar(&cfg.AdvertisePeerURLs, "initial-advertise-peer-urls", nil, "this node's peer URLs as the others reach them")
	f.BoolVar(&o.SkipHashCheck, "skip-hash-check", false, "take a file whose checksum is wrong or missing (one copied from a data directory)")
	f.Uint64Var(&o.BumpRevision, "bump-revision", 0, "how much to raise the revision, so that clients that saw newer ones are not misled")
	f.BoolVar(&markCompacted, "mark-compacted", false, "everything up to the raised revision counts as compacted (required with --bump-revision)")
	f.Int64Var(&o.RangeBytes, "range-bytes", restore.DefaultRangeBytes, "about how much data a range begins with, bytes; the same on all nodes")
	addOutput(cmd, &output)
	return cmd
}

// restored is the result for scripts.
type restored struct {
	DataDir   string `json:"data_dir"`
	ClusterID string `json:"cluster_id"`
	Node      string `json:"node_id"`
	Revision  int64  `json:"revision"`
	Compacted int64  `json:"compacted"` // -1: never
	Versions  int64  `json:"versions"`
	Keys      int64  `json:"keys"`
	Leases    int    `json:"leases"`
	Ranges    int    `json:"ranges"`
}

func printRestored(w io.Writer, output, dir string, r *restore.Result) error {
	if output == outputJSON {
		return printJSON(w, restored{
			DataDir: dir, ClusterID: fmt.Sprintf("%x", r.ClusterID), Node: fmt.Sprintf("%x", uint64(r.Node)),
			Revision: int64(r.Revision), Compacted: int64(r.Floor), Versions: r.Versions, Keys: r.Keys, Leases: r.Leases, Ranges: r.Ranges,
		})
	}
	compacted := "never compacted"
	if r.Floor != proto.NeverCompacted {
		compacted = fmt.Sprintf("compacted at %d", r.Floor)
	}
	_, err := fmt.Fprintf(w, "%s is node %x of cluster %x at revision %d, %s: %d keys in %d versions, %d leases, %d ranges\n",
		dir, uint64(r.Node), r.ClusterID, r.Revision, compacted, r.Keys, r.Versions, r.Leases, r.Ranges)
	return err
}
