//go:build simulated

package sim

import (
	"fmt"
	_ "unsafe" // for go:linkname
)

// In virtual time a goroutine that waits for a mutex counts as busy, since
// mutexes are held for moments. Here they are not: gRPC waits for connections and
// pebble for a slow disk with one held, and time would stand still. Only a process
// that is built for the simulation may reach into the runtime: see package runner.

//go:linkname waitReasons runtime.waitReasonStrings
var waitReasons [26]string

//go:linkname idle runtime.isIdleInSynctest
var idle [26]bool

// letMutexesWait makes waiting for a mutex count as waiting.
func letMutexesWait() error {
	for _, reason := range []string{"sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock"} {
		found := false
		for i, have := range waitReasons {
			if have == reason {
				idle[i], found = true, true
			}
		}
		if !found {
			return fmt.Errorf("sim: this toolchain has no wait reason %q", reason)
		}
	}
	return nil
}
