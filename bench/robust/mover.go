package robust

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// How often a mover does what.
const (
	transferEvery = time.Second
	reshapeEvery  = 1500 * time.Millisecond
	moveEvery     = 4 * time.Second
	commandLimit  = 20 * time.Second
)

// mostRanges is from where on a mover merges rather than splits.
const mostRanges = 24

// mover keeps ranges in motion: leaders move every second, ranges split and
// merge all the time, replicas change nodes now and then. A refusal is no fault:
// the range may be about to change already.
type mover struct {
	steer  *steer.Client
	keys   int
	note   func(fault string, victims ...*cluster.Node)
	logger *slog.Logger
}

// start runs until ctx ends; the function returned waits for that.
func (m *mover) start(ctx context.Context, seed uint64) (done func()) {
	var wg sync.WaitGroup
	for i, act := range []struct {
		every time.Duration
		do    func(context.Context, *rand.Rand, []steer.Range) (string, error)
	}{{transferEvery, m.transfer}, {reshapeEvery, m.reshape}, {moveEvery, m.move}} {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for ctx.Err() == nil {
				wait(ctx, time.Duration((0.5+rng.Float64())*float64(act.every)))
				m.once(ctx, rng, act.do)
			}
		})
	}
	return wg.Wait
}

func (m *mover) once(ctx context.Context, rng *rand.Rand, do func(context.Context, *rand.Rand, []steer.Range) (string, error)) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandLimit)
	defer cancel()
	ranges, err := m.steer.Ranges(ctx)
	if err != nil || len(ranges) == 0 {
		m.logger.Info("ranges not listed", "error", err)
		return
	}
	what, err := do(ctx, rng, ranges)
	switch {
	case what == "":
	case err == nil:
		m.note(what)
	case steer.Refused(err):
		m.note(what + " refused")
		m.logger.Info("refused", "what", what, "error", err)
	default:
		m.note(what + " failed")
		m.logger.Info("failed", "what", what, "error", err)
	}
}

func (m *mover) transfer(ctx context.Context, rng *rand.Rand, ranges []steer.Range) (string, error) {
	r := ranges[rng.IntN(len(ranges))]
	if rng.IntN(6) == 0 {
		r = ranges[0] // the sequencer hands its number over (P6)
	}
	if len(r.Voters) == 0 {
		return "", nil
	}
	to := r.Voters[rng.IntN(len(r.Voters))]
	if to == r.Leader {
		return "", nil
	}
	return "transfer", m.steer.TransferLeader(ctx, r.ID, to)
}

// reshape splits while there are few ranges, merges while there are many.
func (m *mover) reshape(ctx context.Context, rng *rand.Rand, ranges []steer.Range) (string, error) {
	if rng.IntN(mostRanges) >= len(ranges) || len(ranges) < 4 {
		return "split", m.steer.Split(ctx, m.splitKey(rng))
	}
	i := 1 + rng.IntN(len(ranges)-2)
	if _, err := m.steer.Merge(ctx, ranges[i].ID); err != nil {
		return "merge", err
	}
	return "merge", nil
}

// splitKey lies among the keys of the checked clients or of the Kubernetes load.
func (m *mover) splitKey(rng *rand.Rand) string {
	if rng.IntN(3) == 0 {
		kind := []string{"pods", "leases", "events", "configmaps", "nodes", "secrets"}[rng.IntN(6)]
		return fmt.Sprintf("/registry/%s/%c%c", kind, 'a'+rune(rng.IntN(26)), 'a'+rune(rng.IntN(26)))
	}
	return fmt.Sprintf("%s%c", keyName(rng.IntN(m.keys)), '!'+rune(rng.IntN(90)))
}

// move changes the node of a replica, if there is a node without one.
func (m *mover) move(ctx context.Context, rng *rand.Rand, ranges []steer.Range) (string, error) {
	nodes, err := m.steer.Nodes(ctx)
	if err != nil {
		return "", err
	}
	r := ranges[rng.IntN(len(ranges))]
	for _, i := range rng.Perm(len(nodes)) {
		if to := nodes[i]; to.State == "live" && !r.Has(to.ID) && len(r.Voters) > 0 {
			_, err := m.steer.Move(ctx, r.ID, r.Voters[rng.IntN(len(r.Voters))], to.ID)
			return "move", err
		}
	}
	return "", nil
}
