package rangeraft

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/rangeraft/leaderlease"
)

// virtually runs a test of a cluster in virtual time, for tests that measure it
// or that no election may disturb, however busy the machine is. Whatever goes
// round in such a test has to wait for time, which else stands still.
func virtually(t *testing.T, n int, tune func(*Options), test func(*testing.T, *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Add(-time.Hour) // 0 is no time
		test(t, newCluster(t, n, func(o *Options) {
			o.Now = func() leaderlease.Nanos { return leaderlease.Nanos(time.Since(begin)) }
			if tune != nil {
				tune(o)
			}
		}))
	})
}
