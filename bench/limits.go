package bench

import (
	"context"
	"flag"
	"io"
	"os"
	"time"

	"github.com/pontoon-kv/pontoon/bench/limits"
)

func limitsCommand() Command {
	var o limits.Options
	var format output
	fs := flag.NewFlagSet("limits", flag.ContinueOnError)
	var bin binaries
	bin.registerPontoon(fs)
	o.Clients, o.Committers = []int{1, 64, 512}, []int{1, 16}
	fs.Var((*counts)(&o.Clients), "clients", "concurrent requests at the echo server")
	fs.IntVar(&o.Connections, "connections", 48, "connections to it")
	fs.Var((*counts)(&o.Committers), "committers", "goroutines that commit to the engine")
	fs.IntVar(&o.ValueSize, "value-size", 256, "bytes of a value")
	fs.IntVar(&o.Syncs, "syncs", 2000, "most syncs of each kind")
	fs.DurationVar(&o.Cell, "cell", 3*time.Second, "measured time of each")
	fs.DurationVar(&o.Warmup, "warmup", time.Second, "time before it, at the echo server")
	fs.StringVar(&o.Dir, "dir", "", "directory on the disk to measure (default: temporary)")
	format.register(fs)
	return Command{
		Name: "limits", Short: "Measure what no store on this machine can be faster than", Flags: fs,
		Long: "Syncs a file, commits synced batches to an engine with a node's options and nothing else, and puts to a gRPC\n" +
			"server that does nothing, with the clients of the comparisons: reference lines for all other figures.",
		Run: func(ctx context.Context, out, progress io.Writer) error {
			o.Binary, o.Progress = bin.pontoon, ProgressBar(progress)
			return report(ctx, &format, out, progress, limits.Run, o)
		},
	}
}

// echoServerCommand is the process that limits starts.
func echoServerCommand() Command {
	return Command{
		Name: "echo-server", Short: "Answer puts without doing anything, until stdin ends", Hidden: true,
		Flags: flag.NewFlagSet("echo-server", flag.ContinueOnError),
		Run: func(ctx context.Context, out, _ io.Writer) error {
			return limits.ServeEcho(ctx, os.Stdin, out)
		},
	}
}
