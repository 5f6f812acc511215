package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// longFlags are those of commands that start work which goes on by itself.
type longFlags struct {
	adminFlags
	wait bool
}

func (f *longFlags) add(cmd *cobra.Command) {
	f.adminFlags.add(cmd)
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until it is done, showing progress; interrupting ends the waiting only")
}

// Waiting asks again after pollEvery, and bears a cluster that does not answer
// for as long as patience.
const (
	pollEvery = 500 * time.Millisecond
	patience  = time.Minute
)

// until polls a look at the work until it is done.
func (f *longFlags) until(cmd *cobra.Command, look func(context.Context, pontoonpb.AdminClient) (progress, error)) error {
	ctx := cmd.Context()
	meter := newMeter(cmd.ErrOrStderr())
	defer meter.finish()
	answered := time.Now()
	for {
		var p progress
		err := f.call(ctx, func(ctx context.Context, c pontoonpb.AdminClient) (err error) {
			p, err = look(ctx, c)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("stopped waiting; the work goes on (%w)", ctx.Err())
		case err != nil && !isTransient(err):
			return err
		case err != nil && time.Since(answered) > patience:
			return fmt.Errorf("stopped waiting; the work goes on: %w", err)
		case err == nil:
			answered = time.Now()
			meter.show(p)
			if p.done {
				return nil
			}
		}
		if err := pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("stopped waiting; the work goes on (%w)", err)
		}
	}
}

// follow waits for an operator. Operators live in the memory of the placement
// driver: one that is gone with a driver that moved is judged by what it was to
// reach.
func (f *longFlags) follow(cmd *cobra.Command, op *pontoonpb.OperatorStatus, reached func(context.Context, pontoonpb.AdminClient) (bool, error)) error {
	if !f.wait {
		return printOperator(cmd, f.output, op)
	}
	missing := 0
	err := f.until(cmd, func(ctx context.Context, c pontoonpb.AdminClient) (progress, error) {
		resp, err := c.PlacementOperators(ctx, &pontoonpb.PlacementOperatorsRequest{Ended: true})
		if err != nil {
			return progress{}, err
		}
		i := slices.IndexFunc(resp.Operators, func(o *pontoonpb.OperatorStatus) bool { return o.Id == op.Id && o.RangeId == op.RangeId })
		if i >= 0 {
			op, missing = resp.Operators[i], 0
			return operatorProgress(op)
		}
		ok, err := reached(ctx, c)
		if err != nil {
			return progress{}, err
		}
		if missing++; !ok && missing > 3 {
			return progress{}, finalError{fmt.Sprintf("operator %d is gone with the placement driver that ran it and did not finish; start it again", op.Id)}
		}
		if ok {
			op.State = "done"
		}
		return progress{text: "looking for the operator", part: -1, eta: -1, done: ok}, nil
	})
	if err != nil {
		return err
	}
	return printOperator(cmd, f.output, op)
}

// finalError ends the waiting.
type finalError struct{ text string }

func (e finalError) Error() string { return e.text }

// operatorProgress is how far an operator is; an error if it failed.
func operatorProgress(op *pontoonpb.OperatorStatus) (progress, error) {
	switch op.State {
	case "failed", "timeout", "canceled":
		text := fmt.Sprintf("operator %d on range %d: %s", op.Id, op.RangeId, op.State)
		if op.Error != "" {
			text += ": " + op.Error
		}
		return progress{}, finalError{text}
	}
	return progress{
		text: stepText(op), part: op.Progress, bytes: op.BytesDone, total: op.BytesTotal,
		eta: op.EtaSeconds, done: op.State == "done",
	}, nil
}

// stepText is the step that an operator is at.
func stepText(op *pontoonpb.OperatorStatus) string {
	for _, s := range op.Steps {
		if !s.Done {
			return s.Text
		}
	}
	return op.State
}
