package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/PID/stat on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Process is what the kernel says of one process.
type Process struct {
	CPU      time.Duration // user and system, since it started
	Resident int64         // bytes of memory
	Written  int64         // bytes that it caused to be sent to storage
}

// ReadProcess reads /proc of a process.
func ReadProcess(pid int) (p Process, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	if p.CPU, p.Resident, err = parseStat(string(stat)); err != nil {
		return p, err
	}
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return p, err
	}
	p.Written, err = parseWritten(string(io))
	return p, err
}

// parseStat reads a line of /proc/PID/stat. The name, in parentheses, may hold
// anything; after it utime and stime are fields 12 and 13, the pages 22.
func parseStat(line string) (cpu time.Duration, resident int64, err error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("stat of a process has %d fields", len(fields))
	}
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("stat of a process: %w", err)
		}
		cpu += time.Duration(ticks) * clockTick
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("stat of a process: %w", err)
	}
	return cpu, pages * int64(os.Getpagesize()), nil
}

// parseWritten reads write_bytes of /proc/PID/io: pages made dirty, whether
// written back yet or not.
func parseWritten(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, "write_bytes:"); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("io of a process has no write_bytes")
}

// clock is the machine's CPU time in ticks.
type clock struct{ total, idle, interrupts float64 }

func readClock() (clock, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return clock{}, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return parseClock(string(line))
}

// parseClock reads the line "cpu user nice system idle iowait irq softirq steal";
// guest time is in user.
func parseClock(line string) (c clock, err error) {
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return c, fmt.Errorf("cpu line has %d fields", len(fields))
	}
	for i, f := range fields[1:9] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return c, fmt.Errorf("cpu line: %w", err)
		}
		c.total += v
		switch i {
		case 3, 4:
			c.idle += v
		case 5, 6: // traffic over loopback ends here and belongs to no process
			c.interrupts += v
		}
	}
	return c, nil
}
