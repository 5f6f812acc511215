package limits

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Engine is a cell of synced batches of one value.
type Engine struct {
	Committers int     `json:"committers"`
	PerSecond  float64 `json:"per_second"`
	P50Ms      float64 `json:"p50_ms"`
	P99Ms      float64 `json:"p99_ms"`
	CPUMicros  float64 `json:"cpu_us_per_op"`
}

// engine measures one cell in a process of its own.
func (o *Options) engine(ctx context.Context, committers int) (Engine, error) {
	dir := filepath.Join(o.Dir, "engine-"+strconv.Itoa(committers))
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, o.Binary, "engine-commits", "--dir="+dir, "--for="+o.Cell.String(),
		"--committers="+strconv.Itoa(committers), "--value-size="+strconv.Itoa(o.ValueSize))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return Engine{}, fmt.Errorf("engine, %d committers: %w: %s", committers, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var got struct {
		Commits float64 `json:"commits"`
		Seconds float64 `json:"seconds"`
		P50Ms   float64 `json:"p50_ms"`
		P99Ms   float64 `json:"p99_ms"`
		CPU     float64 `json:"cpu_seconds"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return Engine{}, fmt.Errorf("engine, %d committers: %w", committers, err)
	}
	if got.Commits < 1 || got.Seconds <= 0 {
		return Engine{}, fmt.Errorf("engine, %d committers: nothing was committed", committers)
	}
	return Engine{committers, got.Commits / got.Seconds, got.P50Ms, got.P99Ms, got.CPU / got.Commits * 1e6}, nil
}
