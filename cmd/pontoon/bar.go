package main

import (
	"fmt"
	"io"
	"strings"
)

// bar shows progress: redrawn in place on a terminal, a line per tenth
// elsewhere.
type bar struct {
	out      io.Writer
	terminal bool
	phase    string
	tenth    int
}

func newBar(out io.Writer) *bar {
	return &bar{out: out, terminal: isTerminal(out), tenth: -1}
}

const barWidth = 40

func (b *bar) update(phase string, done, total int) {
	if total <= 0 {
		return
	}
	if phase != b.phase {
		b.finish()
		b.phase, b.tenth = phase, -1
	}
	filled := min(done, total) * barWidth / total
	switch tenth := min(done, total) * 10 / total; {
	case b.terminal:
		fmt.Fprintf(b.out, "\r   %-8s [%s%s] %d/%d ", phase, strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), done, total)
	case tenth != b.tenth:
		b.tenth = tenth
		fmt.Fprintf(b.out, "   %s %d/%d\n", phase, done, total)
	}
}

// finish ends the line that is being redrawn.
func (b *bar) finish() {
	if b.terminal && b.phase != "" {
		fmt.Fprintln(b.out)
	}
	b.phase = ""
}
