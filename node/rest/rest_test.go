package rest

import (
	"log/slog"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// looks feeds the same rate of allocation n times and returns the last decision
// and how often memory was given back.
func looks(k *kernel, f *Figures, n int, perLook uint64) (last Decision, given int) {
	for range n {
		f.Allocated += perLook
		last = k.decide(*f)
		if last.GiveBack {
			given++
		}
	}
	return last, given
}

// I1: who allocates much is paced as always, and so is who did lately.
func TestBusy(t *testing.T) {
	k, f := &kernel{}, &Figures{Live: 200 << 20, Scanned: 40 << 20, Held: 400 << 20}
	busy := Decision{Percent: 100}
	if d, _ := looks(k, f, 50, 20<<20); d != busy {
		t.Errorf("20 MiB a second: %+v", d)
	}
	if d, _ := looks(k, f, 4, 0); d != busy {
		t.Errorf("right after a burst: %+v", d)
	}
	if d, given := looks(k, f, 10, 0); d.Percent == 100 || given != 1 {
		t.Errorf("ten seconds after a burst: %+v, given back %d times", d, given)
	}
	if d, _ := looks(k, f, 1, calm+1); d != busy {
		t.Errorf("in the second in which a burst begins: %+v", d)
	}
}

func TestRest(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       Figures
		percent int
	}{
		{"buffers without pointers count for nothing", Figures{Live: 160 << 20, Scanned: 40 << 20}, 20},
		{"half of what is walked through", Figures{Live: 400 << 20, Scanned: 400 << 20}, 50},
		{"little in use", Figures{Live: 10 << 20, Scanned: 5 << 20}, 100},
	} {
		k := &kernel{}
		if d, given := looks(k, &c.f, 40, 1<<20); d.Percent != c.percent || given != 1 {
			t.Errorf("%s: %+v, given back %d times", c.name, d, given)
		}
	}
}

// I2: memory that cannot be given back is not collected for over and over.
func TestGiveBackIsRare(t *testing.T) {
	k, f := &kernel{}, &Figures{Live: 100 << 20, Scanned: 50 << 20, Held: 300 << 20}
	if _, given := looks(k, f, 110, 0); given < 5 || given > 10 {
		t.Errorf("given back %d times in 110 looks", given)
	}
	f.Held = f.Live + least
	if _, given := looks(k, f, 110, 0); given != 0 {
		t.Errorf("given back %d times although there is nothing to win", given)
	}
}

// The process itself: what it dropped goes back, and Close leaves the collector
// as it was.
func TestKeeper(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(busyPercent)
	defer debug.SetGCPercent(before)
	ballast := make([]byte, 128<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	held := read(sources()).Held
	ballast = nil
	synctest.Test(t, func(t *testing.T) {
		k := Start(slog.New(slog.DiscardHandler))
		time.Sleep(2 * window * LookEvery)
		synctest.Wait()
		k.Close()
	})
	if now := read(sources()).Held; now > held-100<<20 {
		t.Errorf("%d bytes held, %d before", now, held)
	}
	if p := debug.SetGCPercent(busyPercent); p != busyPercent {
		t.Errorf("the collector's pace is left at %d", p)
	}
}

// I3
func TestTheEnvironmentDecides(t *testing.T) {
	t.Setenv("GOGC", "75")
	before := debug.SetGCPercent(75)
	defer debug.SetGCPercent(before)
	synctest.Test(t, func(t *testing.T) {
		k := Start(slog.New(slog.DiscardHandler))
		time.Sleep(3 * window * LookEvery)
		k.Close()
	})
	if p := debug.SetGCPercent(75); p != 75 {
		t.Errorf("the collector's pace was set to %d", p)
	}
}
