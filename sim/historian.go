package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/verify"
)

const (
	historianID    = clients + 1 // as a client in the history
	historyEvery   = 300 * time.Millisecond
	historyTimeout = 4 * time.Second
	mostWatches    = 8 // begun by the historian
)

// historian looks into the past: it reads at old revisions, compacts, and begins
// watches at revisions of its choice. It alone compacts, one thing after another,
// so that it knows what must be readable: everything at or above the highest
// revision that a compaction was ever asked for. Nothing below one that was
// confirmed may be.
type historian struct {
	c      *cluster
	t      *robust.Traffic
	rng    *rand.Rand
	client *clientv3.Client

	newest  verify.Revision
	asked   verify.Revision // highest revision that a compaction may have reached
	done    verify.Revision // highest that one was confirmed at
	watches int
	broken  []verify.Violation
	counts  map[string]int
}

func newHistorian(c *cluster, t *robust.Traffic) (*historian, error) {
	client, err := t.Open(c.gateways...)
	return &historian{c: c, t: t, rng: t.Rand(2000), client: client, newest: t.Base(), counts: map[string]int{}}, err
}

// loop goes on until ctx ends.
func (h *historian) loop(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, time.Duration((0.5+h.rng.Float64())*float64(historyEvery)))
		h.once(context.WithoutCancel(ctx))
	}
}

func (h *historian) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	switch n := h.rng.IntN(10); {
	case n < 6:
		h.read(ctx)
	case n < 8:
		h.compact(ctx)
	default:
		h.watch()
	}
}

// between draws from (low, high]; high if that is nothing.
func (h *historian) between(low, high verify.Revision) verify.Revision {
	if high <= low {
		return high
	}
	return low + 1 + verify.Revision(h.rng.Int64N(int64(high-low)))
}

// read reads everything as it was. What is answered is checked with the rest of
// the history; here is checked that it is answered, and only if it may be.
func (h *historian) read(ctx context.Context) {
	at := h.between(max(h.t.Base(), h.done-3)-1, h.newest)
	switch h.rng.IntN(4) {
	case 0:
		at = 0
	case 1:
		at = max(h.t.Base(), h.done-verify.Revision(h.rng.IntN(2))) // the floor, and right below it
	}
	done := h.done
	op := verify.Op{Kind: verify.OpGet, Key: robust.SpanKey, End: robust.SpanEnd, At: at}
	resp, err := h.t.Do(ctx, h.client, historianID, verify.Request{Then: []verify.Op{op}})
	switch {
	case err == nil:
		h.newest = max(h.newest, resp.Rev)
		h.counts["old read"]++
		if op.At > 0 && op.At < done {
			h.violated("read at %d after a compaction at %d was confirmed", at, done)
		}
	case errors.Is(err, rpctypes.ErrCompacted):
		h.counts["compacted read"]++
		if op.At == 0 || op.At >= h.asked {
			h.violated("read at %d refused as compacted, and no compaction above %d was ever asked for", at, h.asked)
		}
	case errors.Is(err, rpctypes.ErrFutureRev):
		h.violated("read at %d refused as of the future after %d was seen", at, h.newest)
	}
}

// compact drops what every watch has behind it.
func (h *historian) compact(ctx context.Context) {
	at := h.between(max(h.asked, h.t.Base()), min(h.newest, h.t.Covered()))
	if at <= h.asked {
		return
	}
	h.asked = at
	_, err := h.client.Compact(ctx, int64(at))
	switch {
	case err == nil:
		h.done = at
		h.counts["compaction"]++
	case errors.Is(err, rpctypes.ErrFutureRev):
		h.violated("compaction at %d refused as of the future after %d was seen", at, h.newest)
	}
}

// watch begins a watch somewhere in what was not compacted.
func (h *historian) watch() {
	if h.watches == mostWatches {
		return
	}
	from := h.between(max(h.asked, h.t.Base()), h.newest)
	if from <= max(h.asked, h.t.Base()) {
		return
	}
	endpoints := h.c.gateways
	if h.rng.IntN(2) == 0 {
		i := h.rng.IntN(len(endpoints))
		endpoints = endpoints[i : i+1]
	}
	client, err := h.t.Open(endpoints...)
	if err != nil {
		h.violated("open: %v", err)
		return
	}
	h.watches++
	h.counts["watch"]++
	key, end := robust.SpanKey, robust.SpanEnd
	if i := h.rng.IntN(2 * keys); i < keys {
		key, end = robust.KeyName(i), robust.KeyName(i+1+h.rng.IntN(keys))
	}
	h.t.Watch(robust.Watch{Name: fmt.Sprintf("past %d", h.watches), Client: client, Key: key, End: end, From: from, PrevKV: h.rng.IntN(2) == 0})
}

func (h *historian) violated(format string, args ...any) {
	h.broken = append(h.broken, verify.Violation{Check: "history", Detail: fmt.Sprintf(format, args...)})
}
