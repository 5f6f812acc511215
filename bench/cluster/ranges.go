package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Range is what a harness needs of `pontoon range list --output json`.
type Range struct {
	ID         uint64   `json:"id"`
	Start      string   `json:"start"`
	End        string   `json:"end"`
	Leader     string   `json:"leader"` // node id, hexadecimal
	LeaderName string   `json:"leader_name"`
	Replicas   []string `json:"replicas"`

	LiveKeys  int64 `json:"live_keys"` // -1: not counted yet
	SizeBytes int64 `json:"size_bytes"`
}

// Split splits Pontoon's keyspace at each key. For etcd it does nothing: there
// is one group, whatever the keys.
func (c *Cluster) Split(ctx context.Context, keys ...string) error {
	if c.opts.Kind != Pontoon {
		return nil
	}
	for _, key := range keys {
		if _, err := c.command(ctx, "range", "split", key); err != nil {
			return fmt.Errorf("split at %q: %w", key, err)
		}
	}
	return nil
}

// Ranges lists Pontoon's ranges; nil for etcd.
func (c *Cluster) Ranges(ctx context.Context) ([]Range, error) {
	if c.opts.Kind != Pontoon {
		return nil, nil
	}
	out, err := c.command(ctx, "range", "list", "--output", "json")
	if err != nil {
		return nil, fmt.Errorf("list ranges: %w", err)
	}
	var ranges []Range
	if err := json.Unmarshal(out, &ranges); err != nil {
		return nil, fmt.Errorf("list ranges: %w", err)
	}
	return ranges, nil
}

// TransferLeader moves the leadership of a Pontoon range to one of its replicas,
// named by node id. For etcd it does nothing.
func (c *Cluster) TransferLeader(ctx context.Context, r Range, node string) error {
	if c.opts.Kind != Pontoon {
		return nil
	}
	if _, err := c.command(ctx, "range", "transfer-leader", strconv.FormatUint(r.ID, 10), node); err != nil {
		return fmt.Errorf("transfer range %d: %w", r.ID, err)
	}
	return nil
}

// command runs a command of the product against the nodes that run.
func (c *Cluster) command(ctx context.Context, args ...string) ([]byte, error) {
	var up []string
	for _, n := range c.Nodes() {
		if n.Running() {
			up = append(up, n.Endpoint)
		}
	}
	cmd := exec.CommandContext(ctx, c.opts.Binary, append(args, "--endpoints="+strings.Join(up, ","))...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
