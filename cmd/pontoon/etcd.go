package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/pontoon-kv/pontoon/cmd/pontoon/etcdflags"
	"github.com/pontoon-kv/pontoon/cmd/pontoon/logging"
	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/version"
)

// etcdName is the name under which the command takes etcd's command line.
const etcdName = "etcd"

// Exit codes of etcd.
const (
	exitClean  = 0
	exitFailed = 1
	exitUsage  = 2
)

// noProxy is why there is no gateway and no proxy to start.
const noProxy = `etcd %[1]s: Pontoon has no %[1]s: every node serves every key, so clients connect to the nodes themselves
(a TCP load balancer in front of them works as well)
`

// etcdMain is the command under the name etcd. It returns the exit code.
func etcdMain(args []string) int {
	if len(args) > 0 && (args[0] == "gateway" || args[0] == "grpc-proxy") {
		fmt.Fprintf(os.Stderr, noProxy, args[0])
		return exitFailed
	}
	inv, err := etcdflags.Parse(args, os.Environ(), os.Stderr)
	switch {
	case errors.Is(err, etcdflags.ErrHelp):
		etcdflags.Help(os.Stdout)
		return exitClean
	case errors.As(err, &etcdflags.UsageError{}):
		return exitUsage
	case inv.Version && err == nil:
		printEtcdVersion()
		return exitClean
	}
	log, logErr := logging.Open(inv.Log)
	if logErr != nil {
		log, _ = logging.Open(logging.Defaults())
	}
	defer log.Close()
	writeNotes(log.Logger, inv.Notes)
	if err = errors.Join(logErr, err); err == nil {
		err = inv.Node.Complete()
	}
	if err != nil {
		log.Warn("failed to verify flags", "error", err)
		return exitFailed
	}
	return serveAsEtcd(inv, log.Logger)
}

// serveAsEtcd runs a node until a signal ends it, by which the process dies
// then, as etcd does.
func serveAsEtcd(inv *etcdflags.Invocation, log *slog.Logger) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	got := make(chan os.Signal, 1)
	go func() {
		sig := <-signals
		got <- sig
		cancel(fmt.Errorf("received signal %v", sig))
	}()
	inv.Node.Logger = log
	err := run(ctx, inv.Node)
	if err != nil {
		log.Error("the node ends", "error", err)
	}
	select {
	case sig := <-got:
		dieOf(sig)
	default:
	}
	if err == nil || errors.Is(err, node.ErrRemoved) { // a removed member is not to be started again
		return exitClean
	}
	return exitFailed
}

// dieOf ends the process by the signal. The first process of a container does
// not die of one: it returns.
func dieOf(sig os.Signal) {
	s, ok := sig.(syscall.Signal)
	if pid := os.Getpid(); ok && pid != 1 {
		signal.Reset(s)
		if syscall.Kill(pid, s) == nil {
			select {} // it arrives
		}
	}
}

func printEtcdVersion() {
	fmt.Printf("etcd Version: %s\n", version.Etcd)
	fmt.Printf("Pontoon Version: %s\n", version.Pontoon)
	fmt.Printf("Git SHA: %s\n", version.Commit())
	fmt.Printf("Go Version: %s\n", runtime.Version())
	fmt.Printf("Go OS/Arch: %s/%s\n", runtime.GOOS, runtime.GOARCH)
}
