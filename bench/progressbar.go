package bench

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// ProgressBar returns a progress callback that draws a bar on one line of w, a
// few times a second. A finished phase ends its line.
func ProgressBar(w io.Writer) func(phase string, done, total int) {
	const width = 40
	var mu sync.Mutex
	var last time.Time
	var finished string
	return func(phase string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if total <= 0 || finished == phase && done >= total {
			return
		}
		if done < total && time.Since(last) < 200*time.Millisecond {
			return
		}
		last, finished = time.Now(), ""
		full := min(width, done*width/total)
		fmt.Fprintf(w, "\r%-10s [%s%s] %3d%% %d/%d", phase, strings.Repeat("=", full), strings.Repeat(" ", width-full),
			done*100/total, done, total)
		if done >= total {
			finished = phase
			fmt.Fprintln(w)
		}
	}
}
