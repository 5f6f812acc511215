package rangeraft

import (
	"slices"
	"testing"

	"github.com/pontoon-kv/pontoon/proto"
)

// A range that sleeps is told once to each who asks, until something of it
// changes.
func TestReportTellsNewsOnly(t *testing.T) {
	c := sleepy(t)
	c.put("x", "1")
	c.hibernates(proto.UserRange)
	s := c.leader(proto.UserRange).store
	id := uint64(proto.UserRange)
	told := func(since uint64) (uint64, bool) {
		rep := s.Report(since)
		same := slices.Contains(rep.Same, id)
		for _, st := range rep.Led {
			if st.Desc.RangeId == id {
				if same {
					t.Fatal("told twice in one report")
				}
				return rep.Number, true
			}
		}
		if !same {
			t.Fatal("not told at all")
		}
		return rep.Number, false
	}
	// fades asks until the range is told no more.
	fades := func(last uint64) uint64 {
		s.replica(proto.UserRange).load.restart(s.replica(proto.UserRange).load.span, s.opts.Now()) // not half a minute
		c.wait("the range to be known", func() bool {
			n, full := told(last)
			last = n
			return !full
		})
		return last
	}
	mine := fades(0)
	if _, full := told(0); !full {
		t.Error("who knows nothing is told nothing")
	}
	if _, full := told(mine); full {
		t.Error("told again because somebody else asked")
	}
	for range 100 { // reads do not wake it
		c.mustHave("x", "1")
	}
	c.wait("the load of reads to be told", func() bool {
		st := s.Report(mine).Led
		return len(st) > 0 && st[len(st)-1].Load.GetReadsPerSecond() > 0
	})
	if !s.replica(proto.UserRange).hibernating.Load() {
		t.Fatal("reads woke the range")
	}
	other := fades(0)
	if _, full := told(mine); !full {
		t.Error("that the load faded is not told to who saw it")
	}
	mine = fades(other)
	c.put("x", "2")
	c.hibernates(proto.UserRange)
	s.replica(proto.UserRange).load.restart(s.replica(proto.UserRange).load.span, s.opts.Now())
	if _, full := told(mine); !full {
		t.Error("another sleep is taken for the same")
	}
}
