// Command pontoon is the one binary: it starts nodes, shows and steers a
// running cluster, demonstrates and measures it. Under the name etcd it takes
// etcd's command line and starts a node.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	if filepath.Base(os.Args[0]) == etcdName {
		os.Exit(etcdMain(os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pontoon:", err)
		os.Exit(1)
	}
}
