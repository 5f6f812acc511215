package bench

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/pontoon-kv/pontoon/bench/kubeload"
)

func loadCommand() Command {
	var o kubeload.Options
	var format output
	var shape string
	endpoints := list{"127.0.0.1:2379"}
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.Var(&endpoints, "endpoints", "client endpoints of the cluster")
	fs.StringVar(&shape, "shape", "kubernetes", "shape of the data; kubernetes is the only one")
	fs.IntVar(&o.Objects, "objects", 20000, "objects to create")
	fs.IntVar(&o.Clients, "clients", 32, "concurrent clients")
	fs.IntVar(&o.Connections, "connections", 8, "connections of the clients, each over all endpoints")
	fs.DurationVar(&o.Churn, "duration", 10*time.Second, "length of the mixed phase after creation; negative: none")
	fs.Float64Var(&o.Rate, "rate", 0, "requests per second in the mixed phase, 0: as fast as it goes")
	fs.Int64Var(&o.PageSize, "page-size", 500, "objects per page of a list")
	fs.StringVar(&o.Prefix, "prefix", "/registry", "prefix of all keys; must be empty of keys")
	fs.Uint64Var(&o.Seed, "seed", 1, "seed of keys, sizes and choices")
	format.register(fs)
	return Command{
		Name: "load", Short: "Load a running cluster as Kubernetes does and verify what is read", Flags: fs,
		Long: "Creates objects of Kubernetes' kinds and sizes under /registry/<resource>/<namespace>/<name>, updates, deletes,\n" +
			"lists and watches them as Kubernetes does, and verifies every value read, every event and, at the end, every object.\n" +
			"Works the same against any etcd.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			if shape != "kubernetes" {
				return fmt.Errorf("--shape must be kubernetes (set to %q)", shape)
			}
			o.Endpoints, o.Progress = endpoints, ProgressBar(progress)
			return report(ctx, &format, out, progress, kubeload.Run, o)
		},
	}
}
