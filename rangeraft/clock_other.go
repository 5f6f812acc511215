//go:build !linux

package rangeraft

import (
	"time"

	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

var clockStart = time.Now()

// monotonicNow reads Go's monotonic clock. Where it stops during suspension, a
// suspended machine is outside of what leader leases promise (P4).
func monotonicNow() leaderlease.Nanos {
	return leaderlease.Nanos(time.Since(clockStart))
}
