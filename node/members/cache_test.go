package members

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// M2: no late reading takes a removal back, and no other change.
func TestM2CacheKeepsTheNewest(t *testing.T) {
	told := 0
	c := NewCache(CacheOptions{OnChange: func([]*pontoonpb.NodeRecord) { told++ }}, three())
	gone := clone(three()[1])
	gone.State, gone.Revision = pontoonpb.NodeState_NODE_REMOVED, 5
	before := c.Revision()
	c.Note(gone)
	c.Note(three()...)
	if !c.Removed(2) || c.Removed(1) || told != 1 || c.Revision() != before+4 {
		t.Errorf("removed %v, told %d times, revision %d", c.Removed(2), told, c.Revision())
	}
}

// A newer roster that somebody tells of is read at once, what is known is not;
// a reading that fails is tried again soon.
func TestCacheReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		var answer error
		misses := 0
		begin := time.Now()
		c := NewCache(CacheOptions{
			Read: func(context.Context) ([]*pontoonpb.NodeRecord, error) {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(begin))
				return three(), answer
			},
			OnChange: func([]*pontoonpb.NodeRecord) {}, OnMiss: func(context.Context, error) {
				mu.Lock()
				misses++
				mu.Unlock()
			},
			Interval: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
		}, nil)
		c.Start()
		time.Sleep(time.Second)
		c.Hint(c.Revision())
		time.Sleep(time.Second)
		c.Hint(c.Revision() + 1)
		time.Sleep(time.Millisecond)
		mu.Lock()
		answer = errors.New("no quorum")
		mu.Unlock()
		c.Hint(c.Revision() + 1) // heard before
		time.Sleep(5 * time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		c.Close()
		want := []time.Duration{0, 2 * time.Second, 7 * time.Second, 8 * time.Second}
		if len(at) != len(want) || misses != 2 {
			t.Fatalf("read at %v, %d misses", at, misses)
		}
		for i := range want {
			if d := at[i] - want[i]; d < 0 || d > 2*time.Millisecond {
				t.Errorf("read at %v, want %v", at, want)
			}
		}
	})
}
