package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func newPlacement() *cobra.Command {
	cmd := group("placement", "Show and steer what moves, splits and merges by itself")
	cmd.AddCommand(newPlacementOperators(), newPlacementCancel(), newPlacementSettings())
	return cmd
}

type operatorView struct {
	ID         uint64     `json:"id"`
	Range      uint64     `json:"range"`
	Kind       string     `json:"kind"`
	State      string     `json:"state"`
	Reason     string     `json:"reason"`
	Error      string     `json:"error,omitempty"`
	Steps      []stepView `json:"steps"`
	Progress   float64    `json:"progress"`
	BytesDone  int64      `json:"bytes_done"`
	BytesTotal int64      `json:"bytes_total"`
	ETASeconds float64    `json:"eta_seconds"` // -1: not known
	Started    *time.Time `json:"started,omitempty"`
	Ended      *time.Time `json:"ended,omitempty"`
}

type stepView struct {
	Text string `json:"text"`
	Done bool   `json:"done"`
}

func viewOperator(op *pontoonpb.OperatorStatus) operatorView {
	v := operatorView{
		ID: op.Id, Range: op.RangeId, Kind: op.Kind, State: op.State, Reason: op.Reason, Error: op.Error,
		Steps: []stepView{}, Progress: op.Progress, BytesDone: op.BytesDone, BytesTotal: op.BytesTotal, ETASeconds: op.EtaSeconds,
		Started: timeOf(op.StartedUnixMillis), Ended: timeOf(op.EndedUnixMillis),
	}
	for _, s := range op.Steps {
		v.Steps = append(v.Steps, stepView{s.Text, s.Done})
	}
	return v
}

func timeOf(millis int64) *time.Time {
	if millis == 0 {
		return nil
	}
	t := time.UnixMilli(millis).UTC()
	return &t
}

func newPlacementOperators() *cobra.Command {
	var f adminFlags
	ended := false
	cmd := &cobra.Command{
		Use: "operators", Short: "List what placement is doing, and why", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				resp, err := c.PlacementOperators(ctx, &pontoonpb.PlacementOperatorsRequest{Ended: ended})
				if err != nil {
					return err
				}
				return printOperators(cmd, f.output, resp.Operators)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&ended, "ended", false, "also the last ones that ended")
	return cmd
}

func printOperators(cmd *cobra.Command, output string, ops []*pontoonpb.OperatorStatus) error {
	slices.SortFunc(ops, func(a, b *pontoonpb.OperatorStatus) int { return cmp.Compare(a.Id, b.Id) })
	views := make([]operatorView, len(ops))
	rows := make([][]any, len(ops))
	for i, op := range ops {
		v := viewOperator(op)
		views[i] = v
		what := v.Reason
		if v.Error != "" {
			what += ": " + v.Error
		}
		p := progress{part: op.Progress, bytes: op.BytesDone, total: op.BytesTotal}
		rows[i] = []any{v.ID, v.Range, v.Kind, v.State, progressText(p), etaText(v), stepText(op), what}
	}
	if output == outputJSON {
		return printJSON(cmd.OutOrStdout(), views)
	}
	return table(cmd.OutOrStdout(), "ID\tRANGE\tKIND\tSTATE\tPROGRESS\tLEFT\tSTEP\tREASON", rows)
}

func progressText(p progress) string {
	text := fmt.Sprintf("%.0f%%", 100*p.part)
	if p.total > 0 {
		text += fmt.Sprintf(" (%s of %s)", bytesText(min(p.bytes, p.total)), bytesText(p.total))
	}
	return text
}

func etaText(v operatorView) string {
	if v.ETASeconds < 0 || v.Ended != nil {
		return "-"
	}
	return time.Duration(v.ETASeconds * float64(time.Second)).Round(time.Second).String()
}

// printOperator shows one operator that was made or has ended.
func printOperator(cmd *cobra.Command, output string, op *pontoonpb.OperatorStatus) error {
	if output == outputJSON {
		return printJSON(cmd.OutOrStdout(), viewOperator(op))
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "operator %d on range %d (%s): %s\n", op.Id, op.RangeId, op.Kind, op.State)
	return err
}

func newPlacementCancel() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "End an operator where it stands", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || id == 0 {
				return fmt.Errorf("%q is not the id of an operator (see `pontoon placement operators`)", args[0])
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				if _, err := c.PlacementCancel(ctx, &pontoonpb.PlacementCancelRequest{Id: id}); err != nil {
					return err
				}
				if f.output == outputJSON {
					return printJSON(cmd.OutOrStdout(), map[string]uint64{"canceled": id})
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "operator %d is canceled\n", id)
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

type settingView struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Help    string `json:"help"`
}

func newPlacementSettings() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "settings [NAME=VALUE ...]",
		Short: "Show the settings of the cluster; change those given, all or none (NAME= is back to the default)",
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := settingsRequest(args)
			if err != nil {
				return err
			}
			return f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) error {
				resp, err := c.PlacementSettings(ctx, req)
				if err != nil {
					return err
				}
				views := make([]settingView, len(resp.Settings))
				rows := make([][]any, len(resp.Settings))
				for i, s := range resp.Settings {
					views[i] = settingView{s.Name, s.Value, s.DefaultValue, s.Help}
					rows[i] = []any{s.Name, s.Value, s.DefaultValue, s.Help}
				}
				if f.output == outputJSON {
					return printJSON(cmd.OutOrStdout(), views)
				}
				return table(cmd.OutOrStdout(), "NAME\tVALUE\tDEFAULT\tMEANING", rows)
			})
		},
	}
	f.add(cmd)
	return cmd
}

// settingsRequest asks for changes, each NAME=VALUE.
func settingsRequest(pairs []string) (*pontoonpb.PlacementSettingsRequest, error) {
	req := &pontoonpb.PlacementSettingsRequest{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not NAME=VALUE", pair)
		}
		req.Set = append(req.Set, &pontoonpb.Setting{Name: name, Value: value})
	}
	return req, nil
}
