package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// boardNode is what one node carries.
type boardNode struct {
	id       uint64
	name     string
	state    string
	leaders  int
	replicas int
	bytes    int64   // of its replicas
	load     float64 // requests per second of the ranges that it leads
}

// board is a cluster at a glance.
type board struct {
	nodes  []boardNode
	ranges int
	moving int // operators at work
	short  int // ranges with fewer voters on live nodes than wanted
}

// lookAt asks a cluster for its board; full is how many voters a range is to
// have.
func lookAt(ctx context.Context, c pontoonpb.AdminClient, full int) (board, error) {
	nodes, err := listNodes(ctx, c)
	if err != nil {
		return board{}, err
	}
	ranges, err := c.RangeList(ctx, &pontoonpb.RangeListRequest{})
	if err != nil {
		return board{}, err
	}
	ops, err := c.PlacementOperators(ctx, &pontoonpb.PlacementOperatorsRequest{})
	if err != nil {
		return board{}, err
	}
	b := newBoard(nodes, ranges.Ranges, full)
	for _, op := range ops.Operators {
		if op.State == "running" {
			b.moving++
		}
	}
	return b, nil
}

func newBoard(nodes []*pontoonpb.NodeStatus, ranges []*pontoonpb.RangeStatus, full int) board {
	b := board{ranges: len(ranges)}
	for _, n := range nodes {
		b.nodes = append(b.nodes, boardNode{id: n.NodeId, name: namesOf(nodes).text(n.NodeId), state: n.State})
	}
	for _, r := range ranges {
		voters := 0
		for _, rep := range r.Desc.Replicas {
			n := b.node(rep.NodeId)
			if n == nil {
				continue
			}
			n.replicas++
			n.bytes += max(0, r.SizeBytes)
			if rep.Role == pontoonpb.ReplicaRole_REPLICA_VOTER && n.serves() {
				voters++
			}
			if rep.NodeId == r.LeaderNode && n.serves() {
				n.leaders++
				n.load += r.GetLoad().GetWritesPerSecond() + r.GetLoad().GetReadsPerSecond()
			}
		}
		if voters < full {
			b.short++
		}
	}
	return b
}

func (b *board) node(id uint64) *boardNode {
	i := slices.IndexFunc(b.nodes, func(n boardNode) bool { return n.id == id })
	if i < 0 {
		return nil
	}
	return &b.nodes[i]
}

// named returns a node; one that is not there any more carries nothing.
func (b *board) named(name string) boardNode {
	for _, n := range b.nodes {
		if n.name == name {
			return n
		}
	}
	return boardNode{name: name, state: removedState}
}

// serves says whether the node answers.
func (n *boardNode) serves() bool { return n.state == "live" || n.state == "draining" }

// spread is the most that a node in use has of something over the least; a
// node with nothing counts as having one.
func (b *board) spread(of func(*boardNode) float64) float64 {
	var most, least float64
	first := true
	for i := range b.nodes {
		if b.nodes[i].state != "live" {
			continue
		}
		v := max(1, of(&b.nodes[i]))
		if first {
			most, least, first = v, v, false
		}
		most, least = max(most, v), min(least, v)
	}
	if first {
		return 1
	}
	return most / least
}

func leadersOf(n *boardNode) float64  { return float64(n.leaders) }
func replicasOf(n *boardNode) float64 { return float64(n.replicas) }
func bytesOf(n *boardNode) float64    { return float64(n.bytes) }

// A board fits a terminal of 80 columns: a wrapped line could not be drawn over.
const (
	boardBar    = 7
	boardColumn = boardBar + 10
)

// lines renders the board as a table with bars.
func (b *board) lines() []string {
	var most [3]float64
	for _, n := range b.nodes {
		for i, v := range n.figures() {
			most[i] = max(most[i], v)
		}
	}
	out := []string{fmt.Sprintf("%-5s %-9s %-*s %-*s %-*s %s", "node", "state",
		boardColumn, "leaders", boardColumn, "replicas", boardColumn, "bytes", "req/s")}
	for _, n := range b.nodes {
		line := fmt.Sprintf("%-5s %-9s", n.name, n.state)
		texts := [3]string{fmt.Sprint(n.leaders), fmt.Sprint(n.replicas), bytesText(n.bytes)}
		for i, v := range n.figures() {
			line += fmt.Sprintf(" %s %-*s", barText(v, most[i]), boardColumn-boardBar-1, texts[i])
		}
		out = append(out, fmt.Sprintf("%s %.0f", line, n.load))
	}
	return append(out, b.evenness(), b.work())
}

func (n *boardNode) figures() [3]float64 {
	return [3]float64{float64(n.leaders), float64(n.replicas), float64(n.bytes)}
}

func barText(v, most float64) string {
	filled := 0
	if most > 0 {
		filled = int(v/most*boardBar + 0.5)
	}
	return strings.Repeat("#", filled) + strings.Repeat(".", boardBar-filled)
}

func (b *board) evenness() string {
	return fmt.Sprintf("max/min leaders %.2f, replicas %.2f, bytes %.2f", b.spread(leadersOf), b.spread(replicasOf), b.spread(bytesOf))
}

func (b *board) work() string {
	text := fmt.Sprintf("%d ranges, %d operators at work", b.ranges, b.moving)
	if b.short > 0 {
		text += fmt.Sprintf(", %d ranges short of replicas", b.short)
	}
	return text
}

// line renders the board in one line, for what is not a terminal.
func (b *board) line() string {
	var parts []string
	for _, n := range b.nodes {
		part := fmt.Sprintf("%s leads %d of %d (%s, %.0f/s)", n.name, n.leaders, n.replicas, bytesText(n.bytes), n.load)
		if n.state != "live" {
			part = n.name + " " + n.state + part[len(n.name):]
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ") + "; " + b.evenness() + "; " + b.work()
}

// boardView shows boards one after the other: drawn over the last one on a
// terminal, else a line now and then.
type boardView struct {
	out      io.Writer
	terminal bool
	drawn    int // lines on the screen
	last     time.Time
}

// boardEvery is the time between two plain lines.
const boardEvery = 5 * time.Second

func (v *boardView) show(b *board, since time.Duration, now time.Time, final bool) {
	if !v.terminal {
		if final || now.Sub(v.last) >= boardEvery {
			v.last = now
			fmt.Fprintf(v.out, "   %3.0f s: %s\n", since.Seconds(), b.line())
		}
		return
	}
	var text strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&text, "\033[%dA", v.drawn)
	}
	lines := append(b.lines(), fmt.Sprintf("%.0f s", since.Seconds()))
	for _, l := range lines {
		fmt.Fprintf(&text, "\033[K   %s\n", l)
	}
	for range max(0, v.drawn-len(lines)) { // a node is gone
		text.WriteString("\033[K\n")
	}
	v.drawn = max(v.drawn, len(lines))
	fmt.Fprint(v.out, text.String())
}
