package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func newNodeDrain() *cobra.Command {
	var f longFlags
	cmd := &cobra.Command{
		Use: "drain NODE", Short: "Move leaderships and replicas away from a node", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := f.mark(cmd, args[0], false)
			if err != nil || !f.wait {
				return f.report(cmd, n, err, "is draining")
			}
			return f.report(cmd, n, f.emptied(cmd, n, true), "is empty; undrain puts it to use again, remove takes it out for good")
		},
	}
	f.add(cmd)
	return cmd
}

func newNodeUndrain() *cobra.Command {
	var f longFlags
	cmd := &cobra.Command{
		Use: "undrain NODE", Short: "Put a draining node to use again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := f.mark(cmd, args[0], true)
			return f.report(cmd, n, err, "is in use; balancing brings leaders and replicas back")
		},
	}
	f.adminFlags.add(cmd)
	return cmd
}

// mark writes that a node drains, or that it does not.
func (f *longFlags) mark(cmd *cobra.Command, name string, undo bool) (n *pontoonpb.NodeStatus, err error) {
	err = f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
		if n, err = f.node(ctx, c, name); err != nil {
			return err
		}
		resp, err := c.NodeDrain(ctx, &pontoonpb.NodeDrainRequest{NodeId: n.NodeId, Undo: undo})
		if err == nil {
			n = resp.Node
		}
		return err
	})
	return n, err
}

func newNodeRemove() *cobra.Command {
	var f longFlags
	force := false
	cmd := &cobra.Command{
		Use: "remove NODE", Short: "Take a node out for good: drained first, or lost with --force", Args: cobra.ExactArgs(1),
		Long: "Take a node out of the cluster for good. Its replicas move away first; then it may never come back with\n" +
			"its data. With --force nothing is waited for: what it held counts as lost and is rebuilt from the other\n" +
			"replicas, for a node whose machine is gone.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var n *pontoonpb.NodeStatus
			err := f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) (err error) {
				n, err = f.node(ctx, c, args[0])
				return err
			})
			if err != nil {
				return err
			}
			if n.State == removedState {
				return fmt.Errorf("node %s is removed already", args[0])
			}
			err = f.remove(cmd, n, force)
			n.State = removedState // it is listed no more
			return f.report(cmd, n, err, "is removed for good; its data directory may be deleted")
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "the node is lost: do not drain it")
	return cmd
}

// remove drains a node unless it is lost, removes it, and waits until nothing
// of it is left.
func (f *longFlags) remove(cmd *cobra.Command, n *pontoonpb.NodeStatus, force bool) error {
	if f.wait && !force {
		if _, err := f.mark(cmd, nodeText(n.NodeId), false); err != nil {
			return err
		}
		if err := f.emptied(cmd, n, true); err != nil {
			return err
		}
	}
	// What a node holds is known a little later than it changes.
	refusals := time.Now().Add(removeGrace)
	for {
		err := f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
			_, err := c.NodeRemove(ctx, &pontoonpb.NodeRemoveRequest{NodeId: n.NodeId, Force: force})
			return err
		})
		if err == nil {
			break
		}
		if !f.wait || force || status.Code(err) != codes.FailedPrecondition || time.Now().After(refusals) {
			return err
		}
		if err := pause(cmd.Context(), pollEvery); err != nil {
			return err
		}
	}
	if f.wait && force {
		return f.emptied(cmd, n, false)
	}
	return nil
}

const removeGrace = 15 * time.Second

// report says how it ended.
func (f *longFlags) report(cmd *cobra.Command, n *pontoonpb.NodeStatus, err error, how string) error {
	if err != nil {
		return err
	}
	if f.output != outputJSON {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "node %s %s\n", namesOf([]*pontoonpb.NodeStatus{n}).text(n.NodeId), how)
		return err
	}
	// What is done is done: if nobody tells how the node is now, what it was
	// before is shown.
	_ = f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
		now, err := f.node(ctx, c, nodeText(n.NodeId))
		if err == nil {
			n = now
		}
		return err
	})
	return printJSON(cmd.OutOrStdout(), viewNode(n))
}
