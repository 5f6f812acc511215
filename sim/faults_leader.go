package sim

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pontoon-kv/pontoon/bench/robust"
	"github.com/pontoon-kv/pontoon/bench/steer"
	"github.com/pontoon-kv/pontoon/sim/simnet"
	enginekeys "github.com/pontoon-kv/pontoon/storage/keys"
)

// leaderFaults make a leader that does not know of the next one, with clients
// at both. raft's quorum check ends that within a second, so what happens in it is
// asked for often.
var leaderFaults = []kind{
	{"isolate leader", 3, isolateLeader},
	{"stale leader", 8, staged(staleLeader)},
	{"voters restart", 5, staged(votersRestart)},
	{"late transfer", 6, staged(lateTransfer)},
	{"lost transfer", 4, staged(lostTransfer)},
}

// staleFor is longer than the old leader may take to find that it has no quorum.
const staleFor = 2200 * time.Millisecond

// settleIn is how long probes ask before anything is done.
const settleIn = 300 * time.Millisecond

// scene is a range with the machines around it.
type scene struct {
	of      steer.Range
	leader  *machine
	voters  []*machine    // but for the leader
	others  []*machine    // members without a replica
	reaches bool          // the sequencer is the leader's own, or on one of the others
	led     []steer.Range // all that the leader leads
	ids     map[*machine]uint64
}

func holds(r steer.Range, key []byte) bool {
	return bytes.Compare(key, r.Start) >= 0 && (len(r.End) == 0 || bytes.Compare(key, r.End) < 0)
}

// scenes are the ranges whose leader and voters all run.
func (n *nemesis) scenes(ctx context.Context) []scene {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	ranges, err := n.c.steer.Ranges(ctx)
	if err != nil || len(ranges) == 0 {
		return nil
	}
	nodes, err := n.c.steer.Nodes(ctx)
	if err != nil {
		return nil
	}
	on := map[string]uint64{}
	for _, node := range nodes {
		on[node.Name] = node.ID
	}
	var list []scene
	for _, r := range ranges {
		sc := scene{of: r, ids: map[*machine]uint64{}}
		for _, o := range ranges {
			if o.Leader == r.Leader {
				sc.led = append(sc.led, o)
			}
		}
		for _, m := range n.c.members() {
			id := on[m.name]
			sc.ids[m] = id
			switch {
			case id == 0 || !m.running():
			case id == r.Leader:
				sc.leader = m
			case r.Has(id):
				sc.voters = append(sc.voters, m)
			default:
				sc.others = append(sc.others, m)
				sc.reaches = sc.reaches || id == ranges[0].Leader
			}
		}
		sc.reaches = sc.reaches || r.Leader == ranges[0].Leader
		if sc.leader != nil && len(sc.voters) > 0 && len(sc.voters)+1 == len(r.Voters) {
			list = append(list, sc)
		}
	}
	return list
}

// scene draws a range: the root range every other time, else one whose leader can
// reach the sequencer alone, if there is any.
func (n *nemesis) scene(ctx context.Context, s step) (sc scene, ok bool) {
	list := n.scenes(ctx)
	if len(list) == 0 {
		n.note(s.kind + " skipped")
		return scene{}, false
	}
	if s.pick(0, 2) == 0 {
		return list[0], true
	}
	var alone []scene
	for _, sc := range list {
		if sc.reaches && !sc.of.Root() {
			alone = append(alone, sc)
		}
	}
	if len(alone) > 0 {
		list = alone
	}
	return list[s.pick(1, len(list))], true
}

// hot are two keys of a range; of those that its leader leads if it has none.
func (sc scene) hot(s step) (list []string) {
	for _, r := range append([]steer.Range{sc.of}, sc.led...) {
		if len(list) > 0 {
			break
		}
		for i := range keys {
			if holds(r, enginekeys.User([]byte(robust.KeyName(i)))) {
				list = append(list, robust.KeyName(i))
			}
		}
	}
	if len(list) == 0 {
		return []string{robust.KeyName(s.pick(2, keys))}
	}
	i := s.pick(2, len(list))
	return list[i:min(i+2, len(list))]
}

// isolateLeader cuts a leader off.
func isolateLeader(ctx context.Context, n *nemesis, s step) error {
	sc, ok := n.scene(ctx, s)
	if !ok {
		return nil
	}
	return n.during(ctx, s, n.cut(), n.around(sc.leader, true, true)...)
}

// between are the links of a machine with others, both ways.
func between(m *machine, others []*machine) (list [][2]*machine) {
	for _, o := range others {
		list = append(list, [2]*machine{m, o}, [2]*machine{o, m})
	}
	return list
}

// severed draws a range and the links to cut so that its leader goes stale: those
// with the other replicas alone, if there is a range whose leader reaches the
// sequencer then, else all that it has.
func (n *nemesis) severed(ctx context.Context, s step) (sc scene, links [][2]*machine, ok bool) {
	var some []scene
	for _, sc := range n.scenes(ctx) {
		if len(sc.others) > 0 && sc.reaches && (!sc.of.Root() || s.pick(2, 2) == 0) {
			some = append(some, sc)
		}
	}
	if len(some) > 0 && s.pick(3, 4) > 0 {
		sc = some[s.pick(1, len(some))]
		return sc, between(sc.leader, sc.voters), true
	}
	if sc, ok = n.scene(ctx, s); !ok {
		return scene{}, nil, false
	}
	return sc, n.around(sc.leader, true, true), true
}

// staleLeader cuts a leader off: it could answer, and may not.
func staleLeader(ctx context.Context, n *nemesis, s step) error {
	sc, links, ok := n.severed(ctx, s)
	if !ok {
		return nil
	}
	s.hold = staleFor
	return n.watched(ctx, s, sc, func() { _ = n.during(ctx, s, n.cut(), links...) })
}

// watched does something to a leader while clients ask it and write elsewhere.
func (n *nemesis) watched(ctx context.Context, s step, sc scene, do func()) error {
	readers, err := n.readers(s, sc)
	if err != nil {
		return err
	}
	writers, err := n.writers(s, sc)
	if err != nil {
		return err
	}
	while(ctx, append(readers, writers...), func() {
		sleep(ctx, settleIn)
		do()
	})
	return nil
}

// votersRestart ends the other voters of a range while its leader is cut off, and
// starts them at once: they promised it not to vote, and may not know any more.
func votersRestart(ctx context.Context, n *nemesis, s step) error {
	sc, links, ok := n.severed(ctx, s)
	if !ok {
		return nil
	}
	for _, m := range sc.voters {
		if !n.take(m) {
			return nil
		}
		defer n.release(m)
	}
	readers, err := n.readers(s, sc)
	if err != nil {
		return err
	}
	s.hold = staleFor
	while(ctx, readers, func() {
		sleep(ctx, settleIn)
		var cutting sync.WaitGroup
		cutting.Go(func() { _ = n.during(ctx, s, n.cut(), links...) })
		if err = n.restart(ctx, s, sc.voters); err == nil {
			var writers []*probe
			if writers, err = n.writers(s, sc); err == nil {
				while(ctx, writers, cutting.Wait)
			}
		}
		cutting.Wait()
	})
	return err
}

// restart ends nodes and starts them again, all at once and in no time: what was
// left is stopped beside its successor, with which it shares no more than files
// that only a join or a leave changes.
func (n *nemesis) restart(ctx context.Context, s step, all []*machine) error {
	for _, m := range all {
		left := m.leave(100, s.draw[2])
		n.burials.Go(func() { n.breaks(s, stop(left, 0)) })
	}
	errs := make([]error, len(all))
	var starting sync.WaitGroup
	for i, m := range all {
		starting.Go(func() { errs[i] = m.start(ctx) })
	}
	starting.Wait()
	return errors.Join(errs...)
}

// lateTransfer has a leader hand over while it hears the other voters late: it
// learns of its successor only after that has begun.
func lateTransfer(ctx context.Context, n *nemesis, s step) error {
	sc, ok := n.scene(ctx, s)
	if !ok {
		return nil
	}
	shape := simnet.Shape{Delay: time.Duration(100+s.pick(3, 200)) * time.Millisecond}
	var links [][2]*machine
	for _, m := range sc.voters {
		links = append(links, [2]*machine{m, sc.leader})
	}
	s.hold = staleFor
	return n.watched(ctx, s, sc, func() {
		var changing sync.WaitGroup
		changing.Go(func() {
			sleep(ctx, s.hold/4)
			n.handOver(ctx, s, sc, sc.voters[s.pick(1, len(sc.voters))])
		})
		_ = n.during(ctx, s, shape, links...)
		changing.Wait()
	})
}

// handOver transfers a range to another voter, by a command to the leader alone.
func (n *nemesis) handOver(ctx context.Context, s step, sc scene, to *machine) {
	ctx, cancel := context.WithTimeout(ctx, s.hold)
	defer cancel()
	admin := n.c.admin(sc.leader)
	defer func() { _ = admin.Close() }()
	if err := admin.TransferLeader(ctx, sc.of.ID, sc.ids[to]); err != nil {
		n.note(s.kind + " failed")
	}
}

// lostTransfer cuts off the voter that a leader hands over to, at that moment: the
// leader has to go on. Mostly it is the sequencer that does.
func lostTransfer(ctx context.Context, n *nemesis, s step) error {
	sc, ok := n.scene(ctx, s)
	if !ok {
		return nil
	}
	if s.pick(2, 2) == 0 {
		if list := n.scenes(ctx); len(list) > 0 {
			sc = list[0]
		}
	}
	to := sc.voters[s.pick(1, len(sc.voters))]
	s.hold += time.Second
	var changing sync.WaitGroup
	changing.Go(func() { n.handOver(ctx, s, sc, to) })
	sleep(ctx, time.Duration(s.pick(3, 8))*time.Millisecond)
	_ = n.during(ctx, s, n.cut(), n.around(to, true, true)...)
	changing.Wait()
	return nil
}
