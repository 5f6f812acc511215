package main

import (
	"fmt"
	"io"
	"os"
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
	b := &bar{out: out, tenth: -1}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			b.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return b
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
