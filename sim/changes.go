package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/steer"
)

// rangeChanges reshape ranges and move leaders and replicas. A refusal is no
// fault: the range may be about to change already.
var rangeChanges = []kind{
	{"split", 7, split},
	{"merge", 4, merge},
	{"transfer", 6, transfer},
	{"transfer root", 3, transferRoot},
	{"move", 3, move},
}

// commandLimit bounds one command.
const commandLimit = 10 * time.Second

// command runs a command and counts what came of it.
func (n *nemesis) command(ctx context.Context, s step, run func(context.Context, []steer.Range) error) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	ranges, err := n.c.steer.Ranges(ctx)
	if err == nil && len(ranges) > 0 {
		err = run(ctx, ranges)
	}
	switch {
	case err == nil:
		n.note(s.kind)
	case steer.Refused(err):
		n.note(s.kind + " refused")
	default:
		n.note(s.kind + " failed")
	}
	n.c.opts.Trace.Debug("command", "kind", s.kind, "error", err)
	return nil
}

func split(ctx context.Context, n *nemesis, s step) error {
	key := fmt.Sprintf("%s%c", robust.KeyName(s.pick(0, keys)), '!'+rune(s.pick(1, 90)))
	if s.pick(2, 2) == 0 {
		key = robust.KeyName(s.pick(0, keys)) // between two keys that are used
	}
	return n.command(ctx, s, func(ctx context.Context, _ []steer.Range) error { return n.c.steer.Split(ctx, key) })
}

func merge(ctx context.Context, n *nemesis, s step) error {
	return n.command(ctx, s, func(ctx context.Context, ranges []steer.Range) error {
		_, err := n.c.steer.Merge(ctx, ranges[s.pick(0, len(ranges))].ID)
		return err
	})
}

func transfer(ctx context.Context, n *nemesis, s step) error {
	return n.command(ctx, s, func(ctx context.Context, ranges []steer.Range) error {
		return n.transfer(ctx, s, ranges[s.pick(0, len(ranges))])
	})
}

// transferRoot has the sequencer hand its number over (P6).
func transferRoot(ctx context.Context, n *nemesis, s step) error {
	return n.command(ctx, s, func(ctx context.Context, ranges []steer.Range) error {
		return n.transfer(ctx, s, ranges[0])
	})
}

func (n *nemesis) transfer(ctx context.Context, s step, r steer.Range) error {
	if len(r.Voters) == 0 {
		return nil
	}
	return n.c.steer.TransferLeader(ctx, r.ID, r.Voters[s.pick(1, len(r.Voters))])
}

// move changes the node of a replica, if there is a node without one.
func move(ctx context.Context, n *nemesis, s step) error {
	return n.command(ctx, s, func(ctx context.Context, ranges []steer.Range) error {
		nodes, err := n.c.steer.Nodes(ctx)
		if err != nil {
			return err
		}
		r := ranges[s.pick(0, len(ranges))]
		for i := range nodes {
			to := nodes[(i+s.pick(1, len(nodes)))%len(nodes)]
			if to.State == "live" && !r.Has(to.ID) && len(r.Voters) > 0 {
				_, err := n.c.steer.Move(ctx, r.ID, r.Voters[s.pick(2, len(r.Voters))], to.ID)
				return err
			}
		}
		return nil
	})
}
