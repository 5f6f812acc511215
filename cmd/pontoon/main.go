// Command pontoon is the one binary: it starts nodes, shows and steers a
// running cluster, demonstrates and measures it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pontoon:", err)
		os.Exit(1)
	}
}
