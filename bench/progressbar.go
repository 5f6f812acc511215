package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// ProgressBar returns a progress callback that shows a run: on a terminal as a
// bar that is redrawn a few times a second, elsewhere as a line now and then.
// A finished phase ends its line.
func ProgressBar(w io.Writer) func(phase string, done, total int) {
	b := &bar{w: w, every: 10 * time.Second, begin: "", end: "\n"}
	if terminal(w) {
		b.every, b.begin, b.end = 200*time.Millisecond, "\r", ""
	}
	return b.show
}

// terminal says whether w redraws a line that begins with a carriage return.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type bar struct {
	w          io.Writer
	every      time.Duration
	begin, end string

	mu       sync.Mutex
	last     time.Time
	finished string // phase that was shown to its end
}

const barWidth = 40

func (b *bar) show(phase string, done, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	complete := done >= total
	if total <= 0 || complete && b.finished == phase || !complete && time.Since(b.last) < b.every {
		return
	}
	b.last, b.finished = time.Now(), ""
	full := min(barWidth, done*barWidth/total)
	end := b.end
	if complete {
		b.finished, end = phase, "\n"
	}
	fmt.Fprintf(b.w, "%s%-10s [%s%s] %3d%% %d/%d%s", b.begin, phase, strings.Repeat("=", full),
		strings.Repeat(" ", barWidth-full), done*100/total, done, total, end)
}
