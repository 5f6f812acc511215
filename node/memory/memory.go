// Package memory keeps a process within the memory that it may take.
//
//	cgroup's limit --every 15 s--> Go's soft limit (GOMEMLIMIT) --> collector
//	                                      '--> Share: what parts of a node may take
//
// The collector works harder as the soft limit comes near, instead of letting garbage
// double a heap of which there is no room for two. It bounds nothing by itself: that
// is for those who hold memory, by their share.
//
// Invariants:
//
//	I1 Who sets GOMEMLIMIT has the last word.
//	I2 A limit that changes while the process runs, as of a container that is resized,
//	   is followed.
package memory

import (
	"context"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// portion of a cgroup's memory is Go's; the rest is for what the collector does
	// not know: stacks of the kernel, buffers of sockets, pages of files.
	portion = 0.85
	// lookEvery is how often the limit of the cgroup is read.
	lookEvery = 15 * time.Second
)

// Keep sets Go's soft limit by that of the cgroup, if there is one, until ctx ends.
func Keep(ctx context.Context, log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(portion), memlimit.WithRefreshInterval(ctx, lookEvery))
	switch {
	case err != nil:
		log.Debug("no limit of memory is known", "err", err)
	case limit < math.MaxInt64:
		log.Info("memory is limited", "soft_limit", limit)
	}
}

// Share returns one part of so many of the memory that the process may take, in
// bytes: of the soft limit, or of the machine if there is none.
func Share(parts int64) int64 {
	if soft := debug.SetMemoryLimit(-1); soft < math.MaxInt64 {
		return soft / parts
	}
	return machine() / parts
}

// machine is the memory of the machine; as if it had 4 GiB where that is not known.
var machine = sync.OnceValue(func() int64 {
	n, err := memlimit.FromSystem()
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 4 << 30
	}
	return int64(n)
})
