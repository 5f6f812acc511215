package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pontoon-kv/pontoon/cmd/pontoon/etcdflags"
	"github.com/pontoon-kv/pontoon/cmd/pontoon/logging"
	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/memory"
	"github.com/pontoon-kv/pontoon/node/rest"
)

// stopGrace bounds a clean stop: leaderships are handed over and requests in
// flight finish within it.
const stopGrace = 10 * time.Second

func newStart() *cobra.Command {
	settings := etcdflags.Bind(etcdflags.Pontoon())
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start a node; without flags a single node on localhost:2379",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			cmd.Flags().Visit(func(f *pflag.Flag) { settings.MarkSet(f.Name) })
			if err := settings.Check(); err != nil {
				return err
			}
			log, err := logging.Open(settings.Log)
			if err != nil {
				return err
			}
			defer log.Close()
			writeNotes(log.Logger, settings.Notes)
			settings.Node.Logger = log.Logger
			return run(cmd.Context(), settings.Node)
		},
	}
	startFlags(cmd.Flags(), settings)
	return cmd
}

// startFlags are etcd's flags and Pontoon's own. Help shows those that do
// something.
func startFlags(flags *pflag.FlagSet, settings *etcdflags.Bound) {
	settings.Each(func(f *etcdflags.Flag, v etcdflags.Value) {
		flag := flags.VarPF(v, f.Name, "", f.Usage)
		flag.Hidden = f.Class != etcdflags.Obeyed
		if v.IsBoolFlag() {
			flag.NoOptDefVal = "true"
		}
	})
}

// writeNotes logs what reading the settings brought up.
func writeNotes(log *slog.Logger, notes []etcdflags.Note) {
	for _, n := range notes {
		level := slog.LevelInfo
		if n.Warning {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, n.Text, n.Attrs...)
	}
}

// run serves until ctx ends or the node fails, then stops cleanly.
func run(ctx context.Context, cfg config.Config) error {
	if err := cfg.Complete(); err != nil {
		return err
	}
	limited, free := context.WithCancel(context.WithoutCancel(ctx))
	defer free()
	memory.Keep(limited, cfg.Logger)
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return err
	}
	keeper := rest.Start(cfg.Logger)
	defer keeper.Close()
	var failure error
	serving := n.Serving()
wait:
	for {
		select {
		case <-serving:
			serving = nil
			notify(cfg, daemon.SdNotifyReady)
		case <-ctx.Done():
			cfg.Logger.Info("stopping", "reason", context.Cause(ctx))
			break wait
		case failure = <-n.Failed():
			cfg.Logger.Error("stopping", "reason", failure)
			break wait
		}
	}
	notify(cfg, daemon.SdNotifyStopping)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return errors.Join(failure, n.Stop(stopCtx))
}

// notify tells systemd, where it started this process, how far it is.
func notify(cfg config.Config, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		cfg.Logger.Error("failed to notify systemd", "state", state, "error", err)
	}
}
