// Package proc reads what the kernel says of processes and of the machine.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/PID/stat and /proc/stat on every Linux that Go
// runs on.
const clockTick = 10 * time.Millisecond

// Process is what a process has used since it started, and holds now.
type Process struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes of memory
	Written  int64         // bytes that it caused to be sent to storage
}

// Read reads of one process.
func Read(pid int) (Process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	p, err := parse(b)
	if err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/io", pid)); err != nil {
		return p, err
	}
	if p.Written, err = parseWritten(b); err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

// parseWritten reads write_bytes of /proc/PID/io: pages made dirty, whether
// written back yet or not.
func parseWritten(io []byte) (int64, error) {
	for line := range strings.Lines(string(io)) {
		if value, found := strings.CutPrefix(line, "write_bytes:"); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("/proc/PID/io has no write_bytes")
}

// parse reads a line of /proc/PID/stat. The name, in parentheses, may hold
// anything; user and system time are fields 14 and 15, resident pages 24.
func parse(stat []byte) (p Process, err error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return p, errors.New("a line too short")
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} {
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return p, err
		}
	}
	return Process{CPU: time.Duration(n[0]+n[1]) * clockTick, Resident: n[2] * int64(os.Getpagesize())}, nil
}

// Anonymous returns the bytes of memory that a process holds itself: without
// pages of files that it maps, which the kernel may drop.
func Anonymous(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseAnonymous(b)
}

func parseAnonymous(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		var kb int64
		if n, _ := fmt.Sscanf(string(line), "RssAnon: %d kB", &kb); n == 1 {
			return kb << 10, nil
		}
	}
	return 0, errors.New("/proc/PID/status has no RssAnon")
}

// Machine is CPU time of all cores since the machine started.
type Machine struct {
	Total      time.Duration
	Idle       time.Duration // waiting for disks too
	Interrupts time.Duration // of no process: loopback traffic ends here
}

// ReadMachine reads of the machine.
func ReadMachine() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, err
	}
	return parseMachine(b)
}

// parseMachine reads the first line of /proc/stat: cpu user nice system idle
// iowait irq softirq steal; guest is in user.
func parseMachine(stat []byte) (m Machine, err error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return m, errors.New("/proc/stat: not the line of all cores")
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return m, fmt.Errorf("/proc/stat: %w", err)
		}
		d := time.Duration(n) * clockTick
		m.Total += d
		switch i {
		case 3, 4:
			m.Idle += d
		case 5, 6:
			m.Interrupts += d
		}
	}
	return m, nil
}
