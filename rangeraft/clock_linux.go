package rangeraft

import (
	"golang.org/x/sys/unix"

	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// monotonicNow reads the clock that goes on while the machine is suspended
// (P4): a leader that slept must not believe in its lease.
func monotonicNow() leaderlease.Nanos {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("rangeraft: no boot time clock: " + err.Error())
	}
	return leaderlease.Nanos(ts.Nano())
}
