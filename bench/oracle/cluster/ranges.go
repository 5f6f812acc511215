package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// ErrNothing says that the cluster has no range that the wish fits at present.
var ErrNothing = errors.New("cluster: no range to do that with")

// Ranges steers the ranges of a Pontoon cluster through its command line. Where a
// method takes a number, it chooses among what is possible at that moment.
type Ranges struct {
	bin      string
	endpoint string
}

// rangeInfo is what `range list` shows of a range, as far as it is needed here.
type rangeInfo struct {
	ID       uint64   `json:"id"`
	Start    string   `json:"start"`
	End      string   `json:"end"`
	Replicas []string `json:"replicas"`
	Leader   string   `json:"leader"`
	Term     uint64   `json:"term"`
}

// betweenKeys reports whether the range ends at a key, so that another range of keys
// follows.
func (r rangeInfo) betweenKeys() bool { return strings.HasPrefix(r.End, `"`) }

// holdsLeases reports whether the range is home to leases.
func (r rangeInfo) holdsLeases() bool { return strings.HasPrefix(r.Start, "lease") }

// Split splits the range that holds key there.
func (r *Ranges) Split(ctx context.Context, key []byte) error {
	_, err := r.run(ctx, "range", "split", string(key))
	return err
}

// Merge merges a range with its right neighbour.
func (r *Ranges) Merge(ctx context.Context, pick int) error {
	all, err := r.list(ctx)
	if err != nil {
		return err
	}
	mergeable := slices.DeleteFunc(all, func(i rangeInfo) bool { return !i.betweenKeys() })
	if len(mergeable) == 0 {
		return ErrNothing
	}
	_, err = r.run(ctx, "range", "merge", mergeable[pick%len(mergeable)].id())
	return err
}

// Transfer moves the leadership of a range, the sequencer's and the leases' among
// them, to another of its nodes.
func (r *Ranges) Transfer(ctx context.Context, pick int) error {
	all, err := r.list(ctx)
	if err != nil {
		return err
	}
	of := all[pick%len(all)]
	others := slices.DeleteFunc(of.Replicas, func(n string) bool { return n == of.Leader })
	if len(others) == 0 {
		return ErrNothing
	}
	_, err = r.run(ctx, "range", "transfer-leader", of.id(), others[pick/len(all)%len(others)])
	return err
}

// Move moves a replica of a range to a node that has none.
func (r *Ranges) Move(ctx context.Context, pick int) error {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return err
	}
	all, err := r.list(ctx)
	if err != nil {
		return err
	}
	movable := slices.DeleteFunc(all, func(i rangeInfo) bool { return len(i.Replicas) >= len(nodes) })
	if len(movable) == 0 {
		return ErrNothing
	}
	of, pick := movable[pick%len(movable)], pick/len(movable)
	free := slices.DeleteFunc(nodes, func(n string) bool { return slices.Contains(of.Replicas, n) })
	from, to := of.Replicas[pick%len(of.Replicas)], free[pick/len(of.Replicas)%len(free)]
	_, err = r.run(ctx, "range", "move", of.id(), "--from", from, "--to", to)
	return err
}

// LeaseTerm grows whenever the leadership of a range that is home to leases changes.
func (r *Ranges) LeaseTerm(ctx context.Context) (uint64, error) {
	all, err := r.list(ctx)
	var sum uint64
	for _, i := range all {
		if i.holdsLeases() {
			sum += i.Term
		}
	}
	return sum, err
}

func (i rangeInfo) id() string { return strconv.FormatUint(i.ID, 10) }

func (r *Ranges) list(ctx context.Context) ([]rangeInfo, error) {
	var all []rangeInfo
	if err := r.query(ctx, &all, "range", "list"); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("cluster: range list shows no range")
	}
	return all, nil
}

// nodes lists the ids of all nodes.
func (r *Ranges) nodes(ctx context.Context) ([]string, error) {
	var all []struct {
		ID string `json:"id"`
	}
	if err := r.query(ctx, &all, "node", "list"); err != nil {
		return nil, err
	}
	ids := make([]string, len(all))
	for i, n := range all {
		ids[i] = n.ID
	}
	return ids, nil
}

func (r *Ranges) query(ctx context.Context, into any, args ...string) error {
	out, err := r.run(ctx, append(args, "--output", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("cluster: %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// run runs a command of the binary and returns its output.
func (r *Ranges) run(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, r.bin, append(args, "--endpoints", r.endpoint)...).Output()
	if err != nil {
		said := ""
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			said = string(exit.Stderr)
		}
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said))
	}
	return out, nil
}
