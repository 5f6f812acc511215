package workload

import (
	"context"
	"errors"
	"time"

	"github.com/pontoon-kv/pontoon/bench/freshness"
)

// eventRate is events per second of the watch that is timed, and puts per second
// elsewhere.
const eventRate = 100

func newProbe(name string, ranges int) *freshness.Probe {
	p := &freshness.Probe{Prefix: Prefix + name + "/", Ranges: ranges, Rate: eventRate}
	if err := p.Complete(); err != nil {
		panic(err) // numbers of this file
	}
	return p
}

// samplesIn returns how many samples of a spacing fill the window.
func samplesIn(window, spacing time.Duration) int { return max(20, int(window/spacing)) }

// watchLatency times the same events at a watch of one range and at one of all.
func watchLatency(p *freshness.Probe) Workload {
	return Workload{
		Name: "watch/one-range", Unit: "event",
		About: "from before a put to its event, 100 puts/s into the prefix and 100/s elsewhere; watch/all-ranges: the same events at a watch of the whole prefix. What servers use is for the puts elsewhere too",
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			probe := *p
			probe.Samples = samplesIn(t.Window, time.Second/eventRate)
			var crossing freshness.Crossing
			err := t.beside(ctx, &probe, func(ctx context.Context) error {
				return probe.MeasureCrossing(ctx, &crossing, t.Clients.Client(0), t.Clients.Client(1), t.Clients.Client(4), func() {})
			})
			if err != nil {
				return nil, err
			}
			return &Outcome{
				Ops: int64(crossing.One.Count()), Latency: crossing.One,
				Aspects: []Aspect{{Name: "watch/all-ranges", Unit: "event", Latency: crossing.All}},
			}, nil
		},
	}
}

// consistentList times what every consistent list of Kubernetes waits for.
func consistentList(p *freshness.Probe) Workload {
	return Workload{
		Name: "watch/consistent-list", Unit: "list",
		About: "read of an absent key at one node, then progress of a prefix watch at another to its revision, 100 puts/s elsewhere",
		Run: func(ctx context.Context, t *Target) (*Outcome, error) {
			probe := *p
			probe.Samples = samplesIn(t.Window, time.Second/eventRate)
			var progress freshness.Progress
			err := t.beside(ctx, &probe, func(ctx context.Context) error {
				return probe.MeasureProgress(ctx, &progress, t.Clients.Client(1), t.Clients.Client(2), func() {})
			})
			if err != nil {
				return nil, err
			}
			return &Outcome{Ops: int64(progress.Total.Count()), Latency: progress.Total}, nil
		},
	}
}

// beside measures f while somebody writes elsewhere.
func (t *Target) beside(ctx context.Context, p *freshness.Probe, f func(context.Context) error) error {
	stop := p.WriteElsewhere(ctx, t.Clients.Client(0))
	pause(ctx, t.Warmup, nil)
	_, err := t.metered(ctx, func() error { return f(ctx) })
	return errors.Join(err, stop())
}
