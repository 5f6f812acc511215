package storage

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

func retained(t testing.TB, e *Engine, rev, floor proto.Revision) (all []string) {
	t.Helper()
	v := must(e.NewLongView())(t)
	defer v.Close()
	check(t, v.Retained(keys.UserSpan, rev, floor, func(ver *Version, newest bool) error {
		s := fmt.Sprintf("%s@%d", ver.Key[1:], ver.ModRevision)
		if ver.Tombstone {
			s += "-"
		}
		if newest {
			s += "*"
		}
		all = append(all, s)
		return nil
	}))
	return all
}

// P44: a backup holds what a store holds once everything below the floor is
// dropped, whether it was or not (P41).
func TestRetainedIgnoresDropping(t *testing.T) {
	e := openMem(t)
	history(t, e)
	want := []string{"alive@7*", "alive@4", "at@5*", "dead-at@5-*", "new@6*", "reborn@8*"}
	if got := retained(t, e, 8, 5); !slices.Equal(got, want) {
		t.Errorf("before dropping %q, want %q", got, want)
	}
	older := []string{"alive@4*", "at@5*", "dead-at@5-*"}
	if got := retained(t, e, 5, 5); !slices.Equal(got, older) {
		t.Errorf("at revision 5 %q, want %q", got, older)
	}
	apply(t, e, 3, setFloor(5))
	d := e.StartDropper(DropperOptions{PerSecond: 1e9})
	check(t, <-d.Request(3))
	d.Close()
	if got := retained(t, e, 8, 5); !slices.Equal(got, want) {
		t.Errorf("after dropping %q, want %q", got, want)
	}
	all := retained(t, e, 8, proto.NeverCompacted)
	if got := stored(t, e); len(all) != len(got) {
		t.Errorf("without a floor %q, stored are %q", all, got)
	}
}
