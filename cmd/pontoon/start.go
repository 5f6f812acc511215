package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/rest"
)

// stopGrace bounds a clean stop: leaderships are handed over and requests in
// flight finish within it.
const stopGrace = 10 * time.Second

func newStart() *cobra.Command {
	cfg := config.Default()
	var logLevel string
	var heartbeatMs, electionMs, tokenSeconds uint
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start a node; without flags a single node on localhost:2379",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			cfg.HeartbeatInterval = time.Duration(heartbeatMs) * time.Millisecond
			cfg.AuthTokenTTL = time.Duration(tokenSeconds) * time.Second
			cfg.ElectionTimeout = time.Duration(electionMs) * time.Millisecond
			logger, err := newLogger(logLevel)
			if err != nil {
				return err
			}
			cfg.Logger = logger
			return run(cmd.Context(), cfg)
		},
	}
	startFlags(cmd.Flags(), &cfg)
	cmd.Flags().StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().UintVar(&tokenSeconds, "auth-token-ttl", 300, "how long a simple token is good, seconds")
	cmd.Flags().UintVar(&heartbeatMs, "heartbeat-interval", 100, "time of a raft tick, milliseconds")
	cmd.Flags().UintVar(&electionMs, "election-timeout", 1000, "time without a leader before an election, milliseconds")
	return cmd
}

func startFlags(f *pflag.FlagSet, cfg *config.Config) {
	f.StringVar(&cfg.Name, "name", cfg.Name, "human-readable name of this node")
	f.StringVar(&cfg.DataDir, "data-dir", "", "path of the data directory (default NAME.pontoon)")
	f.StringSliceVar(&cfg.ListenClientURLs, "listen-client-urls", cfg.ListenClientURLs, "URLs to listen on for clients")
	f.StringSliceVar(&cfg.AdvertiseClientURLs, "advertise-client-urls", nil, "URLs that clients are told to use")
	f.StringSliceVar(&cfg.ListenPeerURLs, "listen-peer-urls", cfg.ListenPeerURLs, "URLs to listen on for other nodes")
	f.StringSliceVar(&cfg.AdvertisePeerURLs, "initial-advertise-peer-urls", nil, "this node's peer URLs as the others reach them")
	f.StringVar(&cfg.InitialCluster, "initial-cluster", "", "all nodes of a new cluster: name=url,name=url")
	f.StringVar(&cfg.InitialClusterState, "initial-cluster-state", cfg.InitialClusterState, "new or existing")
	f.StringVar(&cfg.InitialClusterToken, "initial-cluster-token", cfg.InitialClusterToken, "tells clusters apart that are built from the same URLs")
	f.StringSliceVar(&cfg.Join, "join", nil, "peer addresses (HOST:PORT) of members of a running cluster that this node is to belong to")
	f.StringVar(&cfg.Locality, "locality", "", "where this node is, wide to narrow: region=..,zone=..; replicas are spread over it")
	f.BoolVar(&cfg.StrictReconfigCheck, "strict-reconfig-check", cfg.StrictReconfigCheck, "refuse membership changes that would endanger the quorum")
	f.UintVar(&cfg.MaxLearners, "max-learners", cfg.MaxLearners, "learner members at a time")
	f.BoolVar(&cfg.LeaderLease, "leader-lease", cfg.LeaderLease, "serve under leader leases; false confirms every read and grant by a quorum")
	f.DurationVar(&cfg.WatchProgressNotifyInterval, "watch-progress-notify-interval", cfg.WatchProgressNotifyInterval, "time between progress notifications of an idle watch")
	f.UintVar(&cfg.MaxRequestBytes, "max-request-bytes", cfg.MaxRequestBytes, "largest client request, bytes")
	f.UintVar(&cfg.MaxTxnOps, "max-txn-ops", cfg.MaxTxnOps, "largest number of operations in a txn")
	tlsFlags(f, cfg)
	f.StringVar(&cfg.AuthToken, "auth-token", cfg.AuthToken, "kind of auth tokens: simple, or jwt with its options")
	f.IntVar(&cfg.BcryptCost, "bcrypt-cost", cfg.BcryptCost, "cost of hashing passwords, 4 to 31")
	f.Int64Var(&cfg.CacheBytes, "cache-bytes", cfg.CacheBytes, "memory for the engine's block cache, bytes")
	f.BoolVar(&cfg.EnablePprof, "enable-pprof", cfg.EnablePprof, "serve /debug/pprof on the client port")
	f.StringVar(&cfg.Metrics, "metrics", cfg.Metrics, "basic, or extensive: histograms of gRPC, too")
	f.StringVar(&cfg.TracingEndpoint, "tracing-endpoint", "", "OTLP gRPC collector, host:port; empty: no tracing")
}

func newLogger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level must be debug, info, warn or error (set to %q)", level)
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: l})), nil
}

// run serves until ctx ends or the node fails, then stops cleanly.
func run(ctx context.Context, cfg config.Config) error {
	if err := cfg.Complete(); err != nil {
		return err
	}
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return err
	}
	memory := rest.Start(cfg.Logger)
	defer memory.Close()
	var failure error
	select {
	case <-ctx.Done():
		cfg.Logger.Info("stopping", "reason", context.Cause(ctx))
	case failure = <-n.Failed():
		cfg.Logger.Error("stopping", "reason", failure)
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return errors.Join(failure, n.Stop(stopCtx))
}
