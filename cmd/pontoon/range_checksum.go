package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// checksumView is what one replica holds of a range.
type checksumView struct {
	Node  string `json:"node"`
	Index uint64 `json:"applied_index"`
	Sum   string `json:"sum"`
	Error string `json:"error,omitempty"`
}

type rangeChecksumView struct {
	ID       uint64         `json:"id"`
	Equal    bool           `json:"equal"`
	Replicas []checksumView `json:"replicas"`
}

func newRangeChecksum() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "checksum [ID...]", Short: "Compare what the replicas of ranges hold; without ID of all ranges",
		RunE: func(cmd *cobra.Command, args []string) error {
			var ids []uint64
			for _, arg := range args {
				id, err := strconv.ParseUint(arg, 10, 64)
				if err != nil {
					return fmt.Errorf("%q is not a range id", arg)
				}
				ids = append(ids, id)
			}
			var views []rangeChecksumView
			err := f.call(cmd.Context(), func(ctx context.Context, c pontoonpb.AdminClient) (err error) {
				views, err = checksumRanges(ctx, c, ids)
				return err
			})
			if err != nil {
				return err
			}
			return printChecksums(cmd, f.output, views)
		},
	}
	f.add(cmd)
	return cmd
}

func checksumRanges(ctx context.Context, c pontoonpb.AdminClient, ids []uint64) ([]rangeChecksumView, error) {
	if len(ids) == 0 {
		list, err := c.RangeList(ctx, &pontoonpb.RangeListRequest{})
		if err != nil {
			return nil, err
		}
		for _, r := range list.Ranges {
			ids = append(ids, r.Desc.RangeId)
		}
	}
	var views []rangeChecksumView
	for _, id := range ids {
		resp, err := c.RangeChecksum(ctx, &pontoonpb.RangeChecksumRequest{RangeId: id})
		if err != nil {
			return nil, err
		}
		v := rangeChecksumView{ID: id, Equal: resp.Equal}
		for _, r := range resp.Replicas {
			v.Replicas = append(v.Replicas, checksumView{Node: nodeText(r.NodeId), Index: r.Index, Sum: fmt.Sprintf("%016x", r.Sum), Error: r.Error})
		}
		views = append(views, v)
	}
	return views, nil
}

// printChecksums fails if any range's replicas could not be shown to be equal.
func printChecksums(cmd *cobra.Command, output string, views []rangeChecksumView) error {
	differ := 0
	var rows [][]any
	for _, v := range views {
		if !v.Equal {
			differ++
		}
		for _, r := range v.Replicas {
			sum := r.Sum
			if r.Error != "" {
				sum = r.Error
			}
			rows = append(rows, []any{v.ID, r.Node, r.Index, sum})
		}
	}
	var err error
	if output == "json" {
		err = printJSON(cmd.OutOrStdout(), views)
	} else {
		err = table(cmd.OutOrStdout(), "ID\tNODE\tAPPLIED\tCHECKSUM", rows)
	}
	if err == nil && differ > 0 {
		err = fmt.Errorf("%d of %d ranges have replicas that differ, move on or do not answer", differ, len(views))
	}
	return err
}
