package rest

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Keeper watches over the memory of the process. There is one in a process.
type Keeper struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start begins to watch, unless the environment paces the collector.
func Start(log *slog.Logger) *Keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper{cancel: cancel}
	if os.Getenv("GOGC") == "" {
		k.wg.Go(func() { run(ctx, log) })
	}
	return k
}

// Close paces the collector as before.
func (k *Keeper) Close() {
	k.cancel()
	k.wg.Wait()
}

func run(ctx context.Context, log *slog.Logger) {
	var k kernel
	samples := sources()
	paced := busyPercent
	defer func() {
		if paced != busyPercent {
			debug.SetGCPercent(busyPercent)
		}
	}()
	look := time.NewTicker(LookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		f := read(samples)
		d := k.decide(f)
		if changes(paced, d.Percent) {
			debug.SetGCPercent(d.Percent)
			paced = d.Percent
		}
		if d.GiveBack {
			debug.FreeOSMemory()
			log.Debug("memory given back", "held", f.Held, "live", f.Live, "held_now", read(samples).Held)
		}
	}
}

// changes reports whether another pace is worth setting, which stops the process
// for a moment.
func changes(from, to int) bool {
	return from != to && (to == busyPercent || to < from*4/5 || to > from*5/4)
}

func sources() []metrics.Sample {
	names := []string{
		"/gc/heap/allocs:bytes", "/gc/heap/live:bytes", "/gc/scan/heap:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
	}
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	return samples
}

func read(s []metrics.Sample) Figures {
	metrics.Read(s)
	n := func(i int) uint64 { return s[i].Value.Uint64() }
	return Figures{Allocated: n(0), Live: n(1), Scanned: n(2), Held: n(3) + n(4) + n(5)}
}
