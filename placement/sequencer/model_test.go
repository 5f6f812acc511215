package sequencer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// world is a root range reduced to its log of limits, with kernels that gain
// and lose leadership, some without knowing.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	term    proto.Term
	limit   proto.Revision // what the log says last
	kernels []*Kernel
	leader  int
	writes  []write          // proposed, not in the log yet; of the current term
	applies []proto.Revision // in the log, not told to the leader
	crashes bool

	ticket  Ticket
	asked   map[Ticket]asked
	highest int64 // granted in a confirmed answer
	granted map[int64]bool
	seq     uint64
}

type write struct{ prev, next proto.Revision }

type asked struct {
	count   int64
	highest int64 // when it was asked
}

func newWorld(t *testing.T, seed uint64, crashes bool) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(0, 0), crashes: crashes,
		kernels: []*Kernel{{}, {}, {}}, limit: proto.FirstRevision, highest: int64(proto.FirstRevision),
		asked: map[Ticket]asked{}, granted: map[int64]bool{},
	}
	w.elect(0)
	return w
}

func (w *world) elect(to int) {
	w.term++
	w.leader = to
	w.writes, w.applies = nil, nil // entries of the old term that did not commit never will
	w.take(to, w.kernels[to].Gained(w.now, w.term, w.limit, Epochs{Floor: -1}))
}

func (w *world) take(from int, out Output) {
	for _, a := range out.Answers {
		q, ok := w.asked[a.Ticket]
		confirmed := from == w.leader && a.Term == w.term // what Confirm proves
		if !ok || a.Reply.NotLeader || !confirmed {
			continue
		}
		delete(w.asked, a.Ticket)
		if a.Reply.Read < q.highest {
			w.t.Fatalf("S2: read %d, %d was granted before it was asked", a.Reply.Read, q.highest)
		}
		if q.count == 0 {
			continue
		}
		if a.Reply.First <= q.highest {
			w.t.Fatalf("S1: granted %d, %d was granted before it was asked", a.Reply.First, q.highest)
		}
		for n := a.Reply.First; n < a.Reply.First+q.count; n++ {
			if w.granted[n] {
				w.t.Fatalf("%d granted twice", n)
			}
			w.granted[n] = true
			w.highest = max(w.highest, n)
		}
	}
	if out.Next != 0 && from == w.leader {
		w.writes = append(w.writes, write{out.Prev, out.Next})
	}
}

// step does one random thing.
func (w *world) step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	k := w.kernels[w.leader]
	switch n := w.rng.IntN(100); {
	case n < 60:
		w.ask(w.rng.IntN(len(w.kernels)))
	case n < 80 && len(w.writes) > 0:
		w.write()
	case n < 92 && len(w.applies) > 0:
		limit := w.applies[0]
		w.applies = w.applies[1:]
		w.take(w.leader, k.LimitApplied(w.now, limit))
	case n < 94:
		w.take(w.leader, k.HandOver(w.now))
	case n < 96:
		w.take(w.leader, k.Resume(w.now))
	case n < 98 && k.Handed() && len(w.writes) == 0:
		w.elect(w.rng.IntN(len(w.kernels)))
	case n == 99 && w.crashes:
		w.elect(w.rng.IntN(len(w.kernels)))
	}
}

// ask asks anyone, most often the leader: nodes do not know better.
func (w *world) ask(of int) {
	if w.rng.IntN(3) > 0 {
		of = w.leader
	}
	w.ticket++
	w.seq++
	count := int64(0)
	if w.rng.IntN(2) == 0 {
		count = 1 + w.rng.Int64N(300)
	}
	w.asked[w.ticket] = asked{count, w.highest}
	w.take(of, w.kernels[of].Ask(w.now, w.ticket, &pontoonpb.SequenceAsk{
		Node: 1, Boot: 1, Sequence: w.seq, Count: count, Epochs: Epochs{Floor: -1}.Wire(),
	}))
}

// write carries out the oldest proposed limit: into the log if its condition
// holds, and now and then reported as failed although it is there.
func (w *world) write() {
	p := w.writes[0]
	w.writes = w.writes[1:]
	k := w.kernels[w.leader]
	if p.prev != w.limit {
		w.take(w.leader, k.PersistFailed(w.now, p.next))
		return
	}
	w.limit = p.next
	w.applies = append(w.applies, p.next)
	if w.crashes && w.rng.IntN(5) == 0 {
		w.take(w.leader, k.PersistFailed(w.now, p.next))
	}
}

// S1, S2, P6: whatever happens to leaders, writes of limits and hand-overs,
// numbers are unique and ordered, and reads are not behind them.
func TestModelS1S2(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, true)
			for range 2000 {
				w.step()
			}
		})
	}
}

// S3, P6: with leaders that hand over no number is left out.
func TestModelP6Dense(t *testing.T) {
	for seed := range uint64(25) {
		w := newWorld(t, seed, false)
		for range 3000 {
			w.step()
		}
		// Deposed kernels of a world without crashes grant nothing.
		for n := int64(2); n <= w.highest; n++ {
			if !w.granted[n] {
				t.Fatalf("seed %d: %d was never granted, %d is the highest", seed, n, w.highest)
			}
		}
		if w.highest < 1000 {
			t.Fatalf("seed %d: only %d numbers granted", seed, w.highest)
		}
	}
}
