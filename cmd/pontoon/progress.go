package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress of work that takes a while.
type progress struct {
	text         string
	part         float64 // 0 to 1; negative: not known
	bytes, total int64   // total 0: not known
	eta          float64 // seconds; negative: not known
	done         bool
}

// String is one line: what, percentage, bytes, time left.
func (p progress) String() string {
	var b strings.Builder
	if p.part >= 0 {
		fmt.Fprintf(&b, "%3.0f%%  ", 100*min(p.part, 1))
	}
	if p.total > 0 {
		fmt.Fprintf(&b, "%s of %s  ", bytesText(min(p.bytes, p.total)), bytesText(p.total))
	}
	if p.eta >= 0 && !p.done {
		fmt.Fprintf(&b, "%v left  ", time.Duration(p.eta*float64(time.Second)).Round(time.Second))
	}
	return b.String() + p.text
}

// meter shows progress: a bar redrawn in place on a terminal, elsewhere a line
// whenever the text or the tenth changes.
type meter struct {
	out      io.Writer
	terminal bool
	text     string
	tenth    int
	drawn    bool
}

func newMeter(out io.Writer) *meter {
	return &meter{out: out, terminal: isTerminal(out), tenth: -1}
}

func (m *meter) show(p progress) {
	if m.terminal {
		filled := int(max(0, min(p.part, 1)) * barWidth)
		fmt.Fprintf(m.out, "\r\033[K[%s%s] %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), p)
		m.drawn = true
		return
	}
	if tenth := int(p.part * 10); p.text != m.text || tenth != m.tenth {
		m.text, m.tenth = p.text, tenth
		fmt.Fprintln(m.out, p)
	}
}

// finish ends the line that is being redrawn.
func (m *meter) finish() {
	if m.drawn {
		fmt.Fprintln(m.out)
	}
}

// isTerminal says whether a person looks at what is written.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
