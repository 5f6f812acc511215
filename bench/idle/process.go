package idle

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cluster"
)

// usage is what the kernel says of a process.
type usage struct {
	cpu      time.Duration // used since it started
	resident int64         // bytes of memory
}

// clockTick is the unit of /proc/PID/stat on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

func read(n *cluster.Node) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.Pid()))
	if err != nil {
		return u, fmt.Errorf("usage of %s: %w", n.Name, err)
	}
	// The name, in parentheses, may hold anything; utime and stime are fields 14
	// and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("usage of %s: %w", n.Name, err)
		}
		u.cpu += time.Duration(ticks) * clockTick
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	if err != nil {
		return u, fmt.Errorf("usage of %s: %w", n.Name, err)
	}
	u.resident = pages * int64(os.Getpagesize())
	return u, nil
}

func readAll(c *cluster.Cluster) ([]usage, error) {
	var all []usage
	for _, n := range c.Nodes() {
		u, err := read(n)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}
